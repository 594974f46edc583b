// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// crashDir names the store of a child that is going to be killed.
const (
	crashDir   = "PECD_TEST_CRASH_DIR"
	crashRound = "PECD_TEST_CRASH_ROUND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		fmt.Println("E", crashChild(dir, os.Getenv(crashRound)))
		os.Exit(1)
	}
	if dir := os.Getenv(orderDir); dir != "" {
		if err := orderChild(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	if err := fewerSequences(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const crashBoxes = 4

// crashChild works on the store until it is killed and prints a line for each
// thing that is certain: "A key" after an append was acknowledged, "D key"
// before a message is expunged, "G key" after that was acknowledged.
func crashChild(dir, round string) error {
	ctx := context.Background()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		return err
	}
	var boxes []storage.MailboxID
	for i := range crashBoxes {
		addr := fmt.Sprintf("m%d@x.it", i)
		op := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: addr}}
		err := s.Commit(ctx, new(storage.Step).Add(op))
		if fault.Is(err, fault.Exists) {
			var m storage.Mailbox
			m, err = s.Mailbox(ctx, addr)
			op.ID = m.ID
		}
		if err != nil {
			return err
		}
		boxes = append(boxes, op.ID)
	}
	var mu sync.Mutex
	say := func(what, key string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s %s\n", what, key)
	}
	failed := make(chan error)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s.%d.%d", round, w, i)
				if err := crashStep(ctx, s, boxes[rand.IntN(crashBoxes)], key, say); err != nil {
					failed <- err
				}
			}
		}()
	}
	return <-failed
}

// crashStep stores a message in two steps, as the way of a message through the
// provider does: accepted with a job, then handed from the job to the mailbox.
func crashStep(ctx context.Context, s *Store, box storage.MailboxID, key string, say func(string, string)) error {
	body := &storage.NewBody{Head: []byte(key + "\n")}
	if rand.IntN(3) == 0 {
		sp := s.NewSpool()
		defer sp.Close()
		data := noise(65_000 + rand.IntN(20)*10_000) // one that others have as well
		if rand.IntN(2) == 0 {
			copy(data, key) // its own
		}
		if _, err := sp.Write(data); err != nil {
			return err
		}
		body.Blob = &storage.NewBlob{Spool: sp, Len: sp.Size()}
	}
	job := &storage.Enqueue{Job: storage.Job{Kind: "deliver", Payload: []byte(key)}, Body: storage.BodyRef{New: body}}
	record := func(event string) storage.Op {
		return &storage.AppendRecord{Record: storage.Record{Event: event, ID: key}}
	}
	err := s.Commit(ctx, new(storage.Step).Add(&storage.Once{Keys: []string{"in " + key}}, body, job, record("accepted")))
	if err != nil {
		return err
	}
	a := &storage.Append{Mailbox: box, Body: storage.BodyRef{ID: body.ID}}
	err = s.Commit(ctx, new(storage.Step).Add(&storage.FinishJob{ID: job.ID}, a, record("delivered")))
	if err != nil {
		return err
	}
	say("A", key)
	if rand.IntN(4) == 0 {
		say("D", key)
		if err := s.Commit(ctx, new(storage.Step).Add(&storage.Expunge{Folder: a.In, UIDs: []uint32{a.UID}})); err != nil {
			return err
		}
		say("G", key)
	}
	return nil
}

// TestCrash kills a working process at random moments. Whatever it had
// acknowledged is there, once, and the store is sound.
func TestCrash(t *testing.T) {
	dir := t.TempDir()
	rounds := 6
	if testing.Short() {
		rounds = 2
	}
	said := make(map[string]string) // key -> letters
	for round := range rounds {
		after := time.Duration(150+rand.IntN(500)) * time.Millisecond
		for _, line := range crashRun(t, dir, round, after) {
			what, key, ok := strings.Cut(line, " ")
			if !ok || what == "E" {
				t.Fatalf("child: %q", line)
			}
			said[key] += what
		}
		verifyCrash(t, dir, said)
	}
	t.Logf("%d messages acknowledged in %d rounds", len(said), rounds)
	if len(said) == 0 {
		t.Fatal("nothing was acknowledged")
	}
}

// crashRun runs a child, kills it, and returns what it had said.
func crashRun(t *testing.T, dir string, round int, after time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s=%d", crashRound, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // the rest of a line that was cut off was not said
		}
		if lines = append(lines, strings.TrimSuffix(line, "\n")); len(lines) == 1 {
			// From the first acknowledgement on, so that a slow start kills nobody too early.
			timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("child: %v", err)
	}
	return lines
}

func verifyCrash(t *testing.T, dir string, said map[string]string) {
	t.Helper()
	s := openAt(t, dir, Options{})
	wantClean(t, s)
	found := make(map[string]int)
	each := func(id storage.BodyID) error {
		b, err := s.OpenBody(t.Context(), id)
		if err != nil {
			return err
		}
		defer b.Close()
		key, err := bufio.NewReader(io.NewSectionReader(b, 0, b.Size())).ReadString('\n')
		found[strings.TrimSpace(key)]++
		return err
	}
	err := s.Mailboxes(t.Context(), "", func(m storage.Mailbox) error {
		fs, err := s.Folders(t.Context(), m.ID)
		for _, f := range fs {
			err = errors.Join(err, s.Messages(t.Context(), f.ID, 1, 0, func(m storage.Message) error { return each(m.Body) }))
		}
		return err
	})
	waiting := make(map[string]bool)
	err = errors.Join(err, s.Jobs(t.Context(), "deliver", func(j storage.Job) error {
		waiting[string(j.Payload)] = true
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	for key, what := range said {
		n := found[key]
		bad := n != 1 // A
		switch what {
		case "AD":
			bad = n > 1
		case "ADG":
			bad = n != 0
		}
		if bad || waiting[key] {
			t.Errorf("%s: said %s, found %d times, waiting %v", key, what, n, waiting[key])
		}
	}
	for key, n := range found {
		if n > 1 || waiting[key] {
			t.Errorf("%s: found %d times, waiting %v", key, n, waiting[key])
		}
	}
	// Log and messages tell the same story: nothing was delivered twice.
	delivered := make(map[string]bool)
	err = s.Records(t.Context(), 1, func(r storage.Record) error {
		if r.Event == "delivered" {
			if delivered[r.ID] {
				return fmt.Errorf("%s was delivered twice", r.ID)
			}
			delivered[r.ID] = true
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	blobs, spools := files(t, s)
	t.Logf("%d said, %d messages, %d waiting, %d files", len(said), len(found), len(waiting), blobs)
	if spools > 0 {
		t.Errorf("%d spools left", spools)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
