// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"context"
	"strings"
	"time"

	"pecd/ledger"
	"pecd/notice"
	"pecd/rfc822"
	"pecd/storage"
)

// noticeRef is whose notice a job of the relay carries.
type noticeRef struct {
	Contact int64  `json:"contact"`
	Masked  string `json:"masked"` // for the log
	Login   string `json:"login"`
	Mailbox string `json:"box,omitempty"`
}

// NoticeMail returns what takes a notice that was composed for a contact to it,
// as ordinary mail that nobody answers. mailbox is the address of the mailbox that
// it is about, "" for none. What becomes of it is counted for the contact.
func NoticeMail(raw []byte, c storage.Contact, mailbox string, at time.Time) []storage.Op {
	body := &storage.NewBody{Head: raw}
	return []storage.Op{body, relayJob(body, domainOf(c.Address), relayPayload{
		Recipients: []string{c.Address}, Notice: &noticeRef{Contact: c.ID, Masked: c.Masked(), Login: c.Login, Mailbox: mailbox},
	}, at)}
}

// noteArrival adds to step that the contacts of a mailbox are to be told of what
// is put into it: certified messages and anomaly envelopes, not receipts.
func (c *Core) noteArrival(step *storage.Step, p placement) {
	if c.Notices == nil || !p.box.Told || p.quiet || p.class != ledger.ClassPEC && p.class != ledger.ClassAnomaly {
		return
	}
	step.Add(&storage.NoteArrival{Mailbox: p.box.ID, At: p.at, Rules: *c.Notices})
}

// ownNotice reports whether an ordinary message is a notice of ours that comes
// back: whoever is told of it would be told for ever.
func (c *Core) ownNotice(h rfc822.Header) bool {
	if !h.Has(notice.Marker) {
		return false
	}
	from, err := rfc822.ParseMailbox(h.Get("From"))
	return err == nil && strings.EqualFold(from.Address, c.NoticesFrom)
}

// settleNotice records what became of a notice: nothing of it is anybody's proof,
// and its addressee is nobody's business.
func (r *RelayPoint) settleNotice(ctx context.Context, job storage.Job, p relayPayload, a Attempt, next time.Time) error {
	s := &settling{RelayPoint: r, step: new(storage.Step), job: job, p: p, at: r.now()}
	sent, left, reply := s.sort(a)
	if len(left) > 0 {
		s.postpone(a.Contact, next)
	}
	failed := s.p.Owed
	if len(sent) > 0 {
		s.step.Add(&storage.NoticeOutcome{Contact: p.Notice.Contact, At: s.at})
	}
	for _, d := range failed {
		e := ledger.Event{At: s.at, Kind: ledger.NoticeFailed, User: p.Notice.Login, Mailbox: p.Notice.Mailbox, To: p.Notice.Masked, Detail: d.Status}
		s.step.Add(r.record(e))
		if !d.Silence {
			s.step.Add(&storage.NoticeOutcome{Contact: p.Notice.Contact, Refused: true, At: s.at})
		}
	}
	s.end(nil, s.at, reply)
	if err := r.Store.Commit(ctx, s.step); err != nil {
		return err
	}
	r.LostNotices.Add(int64(len(failed)))
	if len(failed) > 0 {
		r.Logger.Warn("notice not delivered", "contact", p.Notice.Masked, "mailbox", p.Notice.Mailbox, "status", failed[0].Status)
	}
	return nil
}
