// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// syncFolders are the folders that are kept the same.
var syncFolders = []string{"INBOX", "Pratiche", "Ricevute"}

// syncWorld is a mailbox, its local copy, and what both must hold.
type syncWorld struct {
	t         *testing.T
	d         *demo
	user      account
	proxy     *plainProxy
	dir       string
	command   []string
	limit     time.Duration      // of a run
	client    *imapclient.Client // for changes of the mailbox
	random    *rand.Rand
	submitted int
	changed   int      // changes of the Maildir so far
	twice     []string // what was seen in two places

	mu    sync.Mutex
	model map[string]place // Message-ID: where it is; the server changes "remote" ones, the local side the others
	next  int
}

// place is a folder and the flags there, in the letters of Maildir.
type place struct{ folder, flags string }

// copyOf is a message as one side holds it.
type copyOf struct {
	place
	uid       imap.UID
	path      string
	hash      [32]byte
	certified bool
}

func newSyncWorld(t *testing.T, user string, n int) *syncWorld {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var d *demo
	if n > 1000 { // what fits into no Strutturata
		d = newDemo(t, "--quiet", "--all-tier", "xl")
	} else {
		d = sharedDemo(t)
	}
	s := &syncWorld{t: t, d: d, user: d.box(t, "ALFA", user), proxy: startPlainProxy(t, d, uncompressed), dir: t.TempDir(),
		limit:  3*minute + time.Duration(n)*100*time.Millisecond, // offlineimap asks for each message alone, and syncs its state
		random: rand.New(rand.NewPCG(seed, 1)), model: map[string]place{}}
	in := d.openInbox(t, s.user)
	s.client = in.client
	for _, f := range syncFolders[1:] {
		if err := s.client.Create(f, nil).Wait(); err != nil {
			t.Fatal(err)
		}
		if err := s.client.Subscribe(f).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// uncompressed keeps a program from compressing what is to be looked at.
func uncompressed(said []byte) []byte {
	return bytes.ReplaceAll(said, []byte(" COMPRESS=DEFLATE"), nil)
}

func (s *syncWorld) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// letter makes a new message; side owns it.
func (s *syncWorld) letter(side, folder string) (id, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id = fmt.Sprintf("<%s-%d@sync.example>", side, s.next)
	s.model[id] = place{folder: folder}
	return id, fmt.Sprintf("From: a@sync.example\r\nTo: b@sync.example\r\nSubject: Messaggio %d\r\nMessage-ID: %s\r\n"+
		"Date: Tue, 2 Jun 2026 10:00:00 +0200\r\n\r\nRiga\r\n.\r\n%s\r\n", s.next, id, strings.Repeat("testo ", s.next%100))
}

func (s *syncWorld) fill(n int) {
	s.t.Helper()
	for i := range n {
		folder := "INBOX"
		if i%10 > 7 {
			folder = syncFolders[i%10-7]
		}
		_, text := s.letter([]string{"remote", "local"}[i%2], folder)
		s.append(folder, text)
	}
}

func (s *syncWorld) append(folder, text string) {
	cmd := s.client.Append(folder, int64(len(text)), nil)
	_, _ = cmd.Write([]byte(text))
	_ = cmd.Close()
	if _, err := cmd.Wait(); err != nil {
		s.t.Errorf("APPEND: %v", err)
	}
}

// pick chooses messages of one side, and forgets none: they are in the model.
func (s *syncWorld) pick(side string, n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.model {
		if strings.HasPrefix(id, "<"+side) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	s.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(n, len(ids))]
}

func (s *syncWorld) set(id string, p place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.folder == "" {
		delete(s.model, id)
		return
	}
	s.model[id] = p
}

func (s *syncWorld) elsewhere(folder string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if f := syncFolders[s.random.IntN(len(syncFolders))]; f != folder {
			return f
		}
	}
}

// changeRemotely changes the mailbox n times by IMAP, and has a few certified
// messages delivered, a short while between each.
func (s *syncWorld) changeRemotely(n, round int, done *atomic.Bool) {
	defer done.Store(true)
	at := s.remote()
	sender := s.d.box(s.t, "ALFA", "strutturata043")
	for i, id := range s.pick("remote", n) {
		m, ok := at[id]
		if !ok {
			s.t.Errorf("the mailbox has lost %s", id)
			continue
		}
		if _, err := s.client.Select(m.folder, nil).Wait(); err != nil {
			s.t.Errorf("SELECT: %v", err)
			return
		}
		set := imap.UIDSetNum(m.uid)
		var err error
		switch i % 5 {
		case 0:
			err = s.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagFlagged, imap.FlagSeen}}, nil).Close()
			s.set(id, place{m.folder, letters(m.flags + "FS")})
		case 1:
			to := s.elsewhere(m.folder)
			_, err = s.client.Move(set, to).Wait()
			s.set(id, place{to, m.flags})
		case 2:
			if err = s.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err == nil {
				err = s.client.UIDExpunge(set).Close()
			}
			s.set(id, place{})
		case 3:
			folder := s.elsewhere("")
			_, text := s.letter("remote", folder)
			s.append(folder, text)
		case 4:
			err = s.client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsDel, Flags: []imap.Flag{imap.FlagFlagged, imap.FlagSeen}}, nil).Close()
			s.set(id, place{m.folder, strings.NewReplacer("F", "", "S", "").Replace(m.flags)})
		}
		if err != nil {
			s.t.Errorf("change %d of %s: %v", i%5, id, err)
		}
		if i%(1+n/3) == 0 {
			l := letter{id: newMsgID(), from: sender.address, to: []string{s.user.address}, subject: fmt.Sprintf("Certificata %d", round)}
			s.d.submit(s.t, sender, l.to, l.bytes())
			s.submitted++
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// changeLocally changes the Maildir n times.
func (s *syncWorld) changeLocally(n int) {
	s.t.Helper()
	at := s.local()
	for _, id := range s.pick("local", n) {
		m, ok := at[id]
		if !ok {
			s.t.Errorf("the Maildir has no %s", id)
			continue
		}
		s.changed++
		switch s.changed % 5 {
		case 0, 4:
			flags := letters(m.flags + "RS")
			if s.changed%5 == 4 {
				flags = strings.ReplaceAll(m.flags, "R", "")
			}
			base, _, _ := strings.Cut(filepath.Base(m.path), ":2,")
			s.rename(m.path, filepath.Join(filepath.Dir(filepath.Dir(m.path)), "cur", base+":2,"+flags))
			s.set(id, place{m.folder, flags})
		case 1:
			to := s.elsewhere(m.folder)
			s.rename(m.path, filepath.Join(s.dir, "mail", to, "cur", s.fileName()+":2,"+m.flags))
			s.set(id, place{to, m.flags})
		case 2:
			if err := os.Remove(m.path); err != nil {
				s.t.Error(err)
			}
			s.set(id, place{})
		case 3:
			folder := s.elsewhere("")
			_, text := s.letter("local", folder)
			s.write(filepath.Join("mail", folder, "new", s.fileName()), strings.ReplaceAll(text, "\r\n", "\n"))
		}
	}
}

func (s *syncWorld) rename(from, to string) {
	if err := os.Rename(from, to); err != nil {
		s.t.Error(err)
	}
}

func (s *syncWorld) fileName() string {
	s.next++
	return fmt.Sprintf("%d.%d.sync.example", time.Now().Unix(), s.next)
}

// letters sorts the letters of flags and leaves each there once.
func letters(flags string) string {
	l := slices.Compact(slices.Sorted(slices.Values([]byte(flags))))
	return string(l)
}

// remote is what the mailbox holds, by Message-ID.
func (s *syncWorld) remote() map[string]copyOf {
	s.t.Helper()
	held := map[string]copyOf{}
	section := &imap.FetchItemBodySection{Peek: true}
	maildir := map[imap.Flag]string{imap.FlagSeen: "S", imap.FlagAnswered: "R", imap.FlagFlagged: "F", imap.FlagDeleted: "T", imap.FlagDraft: "D"}
	for _, f := range syncFolders {
		box, err := s.client.Select(f, nil).Wait()
		if err != nil {
			s.t.Fatal(err)
		}
		if box.NumMessages == 0 {
			continue
		}
		got, err := s.client.Fetch(imap.UIDSet{imap.UIDRange{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range got {
			flags := ""
			for _, flag := range m.Flags {
				flags += maildir[flag]
			}
			body := withoutTUID(bytes.ReplaceAll(m.FindBodySection(section), []byte("\r\n"), []byte("\n")))
			s.hold(held, "mailbox", body, copyOf{place: place{f, letters(flags)}, uid: m.UID})
		}
	}
	return held
}

// local is what the Maildir holds, by Message-ID.
func (s *syncWorld) local() map[string]copyOf {
	s.t.Helper()
	held := map[string]copyOf{}
	for _, f := range syncFolders {
		for _, sub := range []string{"new", "cur"} {
			files, _ := filepath.Glob(filepath.Join(s.dir, "mail", f, sub, "*"))
			for _, path := range files {
				body, err := os.ReadFile(path)
				if err != nil {
					s.t.Fatal(err)
				}
				_, flags, _ := strings.Cut(filepath.Base(path), ":2,")
				s.hold(held, "Maildir", withoutTUID(body), copyOf{place: place{f, letters(flags)}, path: path})
			}
		}
	}
	return held
}

var (
	messageID = regexp.MustCompile(`(?im)^Message-ID: *(\S+)`)
	transport = regexp.MustCompile(`(?im)^X-Trasporto: *posta-certificata`)
)

func (s *syncWorld) hold(held map[string]copyOf, where string, body []byte, m copyOf) {
	id := messageID.FindSubmatch(body)
	if id == nil {
		s.t.Errorf("%s, %s: a message without Message-ID:\n%.300s", where, m.folder, body)
		return
	}
	m.hash, m.certified = sha256.Sum256(body), transport.Match(body)
	if twice, ok := held[string(id[1])]; ok {
		// While the program moves it, it may be.
		s.twice = append(s.twice, fmt.Sprintf("%s holds %s twice: %v and %v", where, id[1], twice.place, m.place))
	}
	held[string(id[1])] = m
}

// compare holds both sides against each other and against the model.
func (s *syncWorld) compare() {
	s.t.Helper()
	s.twice = nil
	remote, local := s.remote(), s.local()
	complaints := len(s.twice)
	for _, twice := range s.twice[:min(20, len(s.twice))] {
		s.t.Error(twice)
	}
	complain := func(format string, args ...any) {
		if complaints++; complaints <= 20 {
			s.t.Errorf(format, args...)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(remote)) {
		r, l := remote[id], local[id]
		switch want, known := s.model[id]; {
		case r.place != l.place:
			complain("%s is in the mailbox at %v, in the Maildir at %v", id, r.place, l.place)
		case r.hash != l.hash:
			complain("%s differs in content", id)
		case known && want != r.place:
			complain("%s is at %v, want %v", id, r.place, want)
		case !known && !r.certified:
			complain("%s is at %v, but was removed", id, r.place)
		}
	}
	for id := range local {
		if _, ok := remote[id]; !ok {
			complain("%s is in the Maildir alone", id)
		}
	}
	for id, want := range s.model {
		if _, ok := remote[id]; !ok {
			complain("%s is gone, want %v", id, want)
		}
	}
	if complaints > 0 {
		s.t.Fatalf("%d differences", complaints)
	}
}
