// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pecd/alarm"
	"pecd/fault"
	"pecd/ledger"
	"pecd/notice"
	"pecd/pipeline"
	"pecd/storage"
)

const (
	every   = time.Second      // how often is looked for what is due
	seldom  = 24 * time.Hour   // how often all mailboxes are compared with their quotas
	atOnce  = 100              // notices of one look
	refused = 3                // notices refused in a row after which a contact is doubted,
	doubt   = 24 * time.Hour   // and over how long
	lastTry = 3                // retries of a text message
	soon    = 10 * time.Second // before the first comparison after a start
)

// retryAfter is how long a text message waits that the gateway did not take.
func retryAfter(attempts int) time.Duration {
	return [...]time.Duration{time.Minute, 10 * time.Minute, 40 * time.Minute}[min(attempts, lastTry-1)]
}

// Run tells what is due until ctx ends. By mail and by SMS by turns of their own:
// a gateway that is slow keeps no mail back.
func (s *Service) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.each(ctx, every, s.mails) })
	wg.Go(func() { s.each(ctx, every, s.texts) })
	wg.Go(func() { s.each(ctx, every, s.levels) })
	wg.Go(func() {
		if s.pause(ctx, soon) {
			s.each(ctx, seldom, s.compare)
		}
	})
}

// each does something again and again until ctx ends. more tells that there is
// more to do at once.
func (s *Service) each(ctx context.Context, pause time.Duration, do func(context.Context) (more bool, err error)) {
	for {
		more, err := do(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Error("notices are put off", "error", err)
		}
		if more && err == nil && ctx.Err() == nil {
			continue
		}
		if !s.pause(ctx, pause) {
			return
		}
	}
}

func (s *Service) pause(ctx context.Context, d time.Duration) bool {
	fire, release := s.cfg.Clock.After(d)
	defer release()
	select {
	case <-fire:
		return true
	case <-ctx.Done():
		return false
	}
}

// mails hands due notices by mail to the relay.
func (s *Service) mails(ctx context.Context) (more bool, err error) {
	due, err := s.cfg.Store.DueNotices(ctx, storage.ContactMail, s.cfg.Clock.Now(), atOnce)
	for _, n := range due {
		err = errors.Join(err, s.mail(ctx, n)) // the others are told all the same
	}
	return len(due) == atOnce, err
}

func (s *Service) mail(ctx context.Context, n storage.Notice) error {
	now := s.now()
	if why, err := s.unfit(ctx, n.Contact); err != nil || why != "" {
		return s.drop(ctx, n, why, err)
	}
	line, body := arrivals(n, s.cfg.Zone)
	if n.Level > 0 {
		var err error
		if line, body, err = s.fillingOf(ctx, n); err != nil {
			return err
		}
	}
	raw, err := notice.Compose(notice.Message{
		ID: fmt.Sprintf("avviso.%d.%d", n.ID, n.First.Unix()), From: s.cfg.From, To: n.Contact.Address, At: now, Subject: line, Body: body,
	})
	if err != nil {
		return s.drop(ctx, n, "composizione / composing", nil)
	}
	err = s.commit(ctx, append(pipeline.NoticeMail(raw, n.Contact, n.Address, now), s.settled(n, now), s.sent(ctx, n))...)
	return s.told(err, storage.ContactMail)
}

// told counts a notice whose step has succeeded. One that counts others meanwhile
// has its turn later.
func (s *Service) told(err error, kind storage.ContactKind) error {
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	if err == nil {
		s.figures.add(kind, Sent)
	}
	return err
}

func (s *Service) settled(n storage.Notice, now time.Time) *storage.SettleNotice {
	return &storage.SettleNotice{ID: n.ID, Count: n.Count, At: now, DayEnds: nextDay(now)}
}

func (s *Service) sent(ctx context.Context, n storage.Notice) *storage.AppendRecord {
	return s.record(ctx, eventOf(n, ledger.NoticeSent))
}

func eventOf(n storage.Notice, k ledger.Kind) ledger.Event {
	e := ledger.Event{Kind: k, User: n.Contact.Login, Mailbox: n.Address, To: n.Contact.Masked(), Count: n.Count}
	if n.Level > 0 {
		e.Detail = fmt.Sprintf("%d%%", n.Level)
	}
	return e
}

// unfit says why a contact is not told any more, "" where it is.
func (s *Service) unfit(ctx context.Context, c storage.Contact) (string, error) {
	if c.Confirmed.IsZero() {
		return "contatto non confermato / contact not confirmed", nil
	}
	if c.Kind != storage.ContactMail {
		return "", nil
	}
	err := s.ordinary(ctx, c.Address)
	if fault.Is(err, fault.Denied) { // its domain became certified
		return "posta certificata / certified mail", nil
	}
	return "", err
}

// drop gives a notice up, unless err kept from finding out.
func (s *Service) drop(ctx context.Context, n storage.Notice, why string, err error, more ...storage.Op) error {
	if err != nil {
		return err
	}
	e := eventOf(n, ledger.NoticeFailed)
	e.Detail = why
	err = s.commit(ctx, append(more, &storage.SettleNotice{ID: n.ID, Count: n.Count, Dropped: true}, s.record(ctx, e))...)
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	if err == nil {
		s.figures.add(n.Contact.Kind, Failed)
		s.cfg.Logger.Warn("notice given up", "contact", n.Contact.Masked(), "mailbox", n.Address, "why", why)
	}
	return err
}

// texts hands due text messages to the gateway, several at a time.
func (s *Service) texts(ctx context.Context) (more bool, err error) {
	due, err := s.cfg.Store.DueNotices(ctx, storage.ContactSMS, s.cfg.Clock.Now(), atOnce)
	if err != nil {
		return false, err
	}
	s.unsaved.only(due)
	slots := make(chan struct{}, s.cfg.Parallel)
	var wg sync.WaitGroup
	for _, n := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.text(ctx, n); err != nil && ctx.Err() == nil {
				s.cfg.Logger.Error("text message put off", "contact", n.Contact.Masked(), "error", err)
			}
		})
	}
	wg.Wait()
	return false, nil
}

func (s *Service) text(ctx context.Context, n storage.Notice) error {
	if record := s.unsaved.of(n.ID); record != nil {
		return s.unsaved.save(context.WithoutCancel(ctx), n.ID, record)
	}
	if why, err := s.unfit(ctx, n.Contact); err != nil || why != "" {
		return s.drop(ctx, n, why, err)
	}
	if s.cfg.SMS == nil {
		return s.drop(ctx, n, "nessun gateway SMS / no SMS gateway", nil)
	}
	if n.Open { // what is being told must not grow meanwhile
		if err := s.commit(ctx, &storage.CloseNotice{ID: n.ID, Count: n.Count}); err != nil {
			return s.told(err, n.Contact.Kind)
		}
	}
	text := shortArrivals(n, s.cfg.Zone)
	if n.Level > 0 {
		text = shortFilling(n.Address, n.Level)
	}
	err := s.cfg.SMS.Send(ctx, SMS{To: n.Contact.Address, Text: text, ID: fmt.Sprintf("avviso-%d-%d", n.ID, n.First.Unix())})
	if err != nil && ctx.Err() != nil {
		return nil
	}
	at := s.now()
	// What the gateway said is recorded also when the node is being stopped.
	return s.unsaved.save(context.WithoutCancel(ctx), n.ID, func(ctx context.Context) error { return s.answered(ctx, n, err, at) })
}

// answered records what the gateway said about a text message.
func (s *Service) answered(ctx context.Context, n storage.Notice, err error, at time.Time) error {
	switch {
	case err == nil:
		s.cfg.Alarms.Clear(alarm.SMSGateway)
		return s.told(s.commit(ctx, s.settled(n, at), s.sent(ctx, n), &storage.NoticeOutcome{Contact: n.Contact.ID}), n.Contact.Kind)
	case fault.Is(err, fault.Denied):
		return s.drop(ctx, n, fault.TextOf(err)+err.Error(), nil, &storage.NoticeOutcome{Contact: n.Contact.ID, Refused: true, At: at})
	}
	if n.Attempts > 0 {
		s.cfg.Alarms.Raise(alarm.SMSGateway, "il gateway SMS non accetta messaggi / the SMS gateway takes no messages")
	}
	if n.Attempts >= lastTry {
		return s.drop(ctx, n, err.Error(), nil)
	}
	err = s.commit(ctx, &storage.RetryNotice{ID: n.ID, Due: at.Add(retryAfter(n.Attempts))})
	switch {
	case fault.Is(err, fault.NotFound): // its contact is gone
		return nil
	case err == nil:
		s.figures.add(n.Contact.Kind, Retried)
	}
	return err
}
