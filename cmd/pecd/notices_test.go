// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"io"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"pecd/pipeline"
	"pecd/rfc822"
	"pecd/storage"
)

// small is a mailbox of a tier that fills up with a few messages.
type small struct {
	*yesterday
	box   storage.Mailbox
	quota int64
	sent  int
	last  int   // level
	want  []int // levels that are to be told
}

func newSmall(w *yesterday) *small {
	ctx := context.Background()
	box, err := w.node.store.Mailbox(ctx, "standard002@alfa.example")
	w.must(err)
	tier, err := w.node.users.Tier(ctx, box.Tier)
	w.must(err)
	s := &small{yesterday: w, quota: 200_000}
	tier.Code, tier.QuotaBytes = "piccola", s.quota
	box.Tier, s.box = tier.Code, box
	s.box.Tier = tier.Code
	w.must(w.node.store.Commit(ctx, new(storage.Step).Add(&storage.PutTier{Tier: tier}, &storage.PutMailbox{Mailbox: box})))
	return s
}

// send certifies a message of some octets to the mailbox, waits for its outcome,
// and notes which level is to be told.
func (s *small) send(size int) {
	s.Helper()
	from, to := "standard001@alfa.example", s.box.Address
	access := &pipeline.Access{Core: s.node.core}
	s.sent++
	text, err := access.Submit(context.Background(), pipeline.Submission{Login: from, Sender: from, Recipients: []string{to}}, strings.NewReader(fmt.Sprintf(
		"From: %s\r\nTo: %s\r\nSubject: n. %d\r\n\r\n%s", from, to, s.sent, strings.Repeat(strings.Repeat("x", 70)+"\r\n", size/72))))
	s.must(err)
	id := text[strings.LastIndex(text, " ")+1:]
	s.until("the outcome", func() bool {
		tx, err := s.node.store.Transaction(context.Background(), id, true)
		return err == nil && tx.Recipients[0].Outcome != storage.Pending
	})
	s.settle()
}

// settle waits until what there is to tell is told: a notice fills the mailbox, too.
func (s *small) settle() {
	s.Helper()
	s.until("nothing to tell", func() bool {
		untold, err := s.node.store.UntoldLevels(context.Background())
		return err == nil && len(untold) == 0
	})
	box, err := s.node.store.MailboxByID(context.Background(), s.box.ID)
	s.must(err)
	if level := storage.QuotaLevel(box.Used, s.quota); level != s.last {
		if level > s.last {
			s.want = append(s.want, level)
		}
		s.last = level
	}
}

func (s *small) until(what string, done func() bool) {
	s.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("%s: not after half a minute", what)
		}
		s.clk.Advance(time.Second)
	}
}

var levelTold = regexp.MustCompile(`è piena al (\d+)%`)

// told lists the levels that the mailbox was told of, and removes all messages.
func (s *small) told() (levels []int) {
	s.Helper()
	ctx := context.Background()
	in, err := s.node.store.Folder(ctx, s.box.ID, "INBOX")
	s.must(err)
	all := &storage.Expunge{Folder: in.ID}
	s.must(s.node.store.Messages(ctx, in.ID, 1, 0, func(m storage.Message) error {
		all.UIDs = append(all.UIDs, m.UID)
		b, err := s.node.store.OpenBody(ctx, m.Body)
		if err != nil {
			return err
		}
		defer b.Close()
		got, err := mail.ReadMessage(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			return err
		}
		if found := levelTold.FindStringSubmatch(rfc822.DecodeText(got.Header.Get("Subject"))); found != nil {
			var level int
			fmt.Sscan(found[1], &level)
			levels = append(levels, level)
		}
		return nil
	}))
	s.must(s.node.store.Commit(ctx, new(storage.Step).Add(all)))
	s.last = 0
	return levels
}

// TestQuotaIsTold: certified messages fill a mailbox of a node that runs; each
// level is told in it once, and again after it was emptied.
func TestQuotaIsTold(t *testing.T) {
	w := newYesterday(t)
	w.clk.Advance(2 * time.Hour)
	s := newSmall(w)
	work, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, worker := range w.node.workers() {
		running.Go(func() { worker.Run(work, work) })
	}
	running.Go(func() { w.node.notices.Run(work) })
	for round := range 2 {
		for s.last < 95 && s.sent < 100 {
			s.send(3000)
		}
		s.send(40_000) // does not fit
		if got := s.told(); fmt.Sprint(got) != "[80 90 95]" || fmt.Sprint(s.want) != "[80 90 95]" {
			t.Errorf("round %d: told %v, reached %v", round, got, s.want)
		}
		s.want = nil
	}
	cancel()
	running.Wait()
	found, err := w.node.verify(context.Background())
	w.must(err)
	if len(found.Problems) > 0 {
		t.Errorf("%+v", found.Problems)
	}
	w.must(w.node.close())
}
