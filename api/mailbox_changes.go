// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"

	"pecd/directory"
	"pecd/storage"
)

type (
	// State is a state of a mailbox.
	State struct {
		State string `json:"state" enum:"active,blocked,deactivated,closed"`
	}
	stateIn struct {
		AddressParam
		Change
		Body State
	}
	// OrdinaryMail says whether ordinary mail is let in.
	OrdinaryMail struct {
		Open bool `json:"open"`
	}
	ordinaryIn struct {
		AddressParam
		Change
		Body OrdinaryMail
	}
	optionsIn struct {
		AddressParam
		Change
		Body Options
	}
)

func (s *Server) registerMailboxChanges() {
	register(s, operation{name: "set-state", method: put, path: "/mailboxes/{address}/state", summary: "Attiva, disattiva, blocca, chiude / Activates, deactivates, blocks, closes"}, s.setState)
	register(s, operation{name: "set-ordinary-mail", method: put, path: "/mailboxes/{address}/ordinary-mail", summary: "Apre o chiude alla posta ordinaria / Opens or closes to ordinary mail"},
		func(ctx context.Context, in *ordinaryIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
				return s.Directory.SetOrdinary(ctx, in.Address, in.Body.Open)
			})
		})
	register(s, operation{name: "set-options", method: put, path: "/mailboxes/{address}/options", summary: "Opzioni / Options"},
		func(ctx context.Context, in *optionsIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
				o := directory.Options{PersonalSeen: &in.Body.PersonalSeen, FileSent: &in.Body.FileSent, FileReceipts: &in.Body.FileReceipts}
				_, _, err := s.Directory.SetOptions(ctx, in.Address, o)
				return err
			})
		})
}

func (s *Server) setState(ctx context.Context, in *stateIn) (*mailboxOut, error) {
	return s.changed(ctx, in.Address, in.Change, func(m storage.Mailbox) error {
		to := storage.MailboxState(in.Body.State)
		if err := mayMove(callerOf(ctx), m.State, to); err != nil {
			return err
		}
		return s.Directory.SetMailboxState(ctx, in.Address, to)
	})
}

// changed checks the precondition of a change of a mailbox, has it made, and returns
// the mailbox as it is then.
func (s *Server) changed(ctx context.Context, address string, c Change, make func(storage.Mailbox) error) (*mailboxOut, error) {
	s.changing.Lock()
	defer s.changing.Unlock()
	m, err := s.mailbox(ctx, address)
	if err != nil {
		return nil, err
	}
	_, version, err := s.viewOfMailbox(ctx, m)
	if err == nil {
		err = matches(ctx, c, version)
	}
	if err == nil {
		err = make(m)
	}
	if err != nil {
		return nil, err
	}
	if m, err = s.Store.MailboxByID(ctx, m.ID); err != nil {
		return nil, err
	}
	v, version, err := s.viewOfMailbox(ctx, m)
	return &mailboxOut{version, v}, err
}
