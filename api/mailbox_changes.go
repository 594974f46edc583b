// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"strings"

	"pecd/directory"
	"pecd/fault"
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
		Open     bool   `json:"open"`
		Redirect string `json:"redirect,omitempty" maxLength:"254" doc:"Chiusa: dove scrivere invece, detto nel rifiuto / closed: where to write instead, told in the refusal"`
	}
	ordinaryIn struct {
		AddressParam
		Change
		Body OrdinaryMail
	}
	blockIn struct {
		AddressParam
		Change
		Body struct {
			Blocked bool   `json:"blocked"`
			Reason  string `json:"reason,omitempty" maxLength:"200" doc:"Perché, detto al titolare / why, told to the holder"`
		}
	}
	setTierIn struct {
		AddressParam
		Change
		Body struct {
			Tier string `json:"tier" minLength:"1" maxLength:"64"`
		}
	}
	raiseIn struct {
		AddressParam
		Change
		Body FiguresChange
	}
	optionsIn struct {
		AddressParam
		Change
		Body Options
	}
)

func (s *Server) registerMailboxChanges() {
	register(s, operation{name: "set-tier", method: put, path: "/mailboxes/{address}/tier", summary: "Trasforma in un'altra tipologia / Transforms into another tier"},
		func(ctx context.Context, in *setTierIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
				_, err := s.Directory.Transform(ctx, in.Address, in.Body.Tier)
				return err
			})
		})
	register(s, operation{name: "raise-mailbox", method: put, path: "/mailboxes/{address}/figures", summary: "Alza i limiti di una casella; 0 li riporta alla tipologia / Raises figures of a mailbox; 0 takes one back"},
		func(ctx context.Context, in *raiseIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
				_, err := s.Directory.Raise(ctx, in.Address, in.Body.change())
				return err
			})
		})
	register(s, operation{name: "block-sending", method: put, path: "/mailboxes/{address}/send-block", summary: "Blocca o sblocca l'invio; la casella riceve e si legge / Blocks or unblocks sending; the mailbox receives and is read"},
		func(ctx context.Context, in *blockIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(m storage.Mailbox) error {
				switch {
				case !in.Body.Blocked:
					err := s.Directory.UnblockSending(ctx, m.Address)
					if err == nil && s.Unblocked != nil {
						s.Unblocked(m.Address)
					}
					return err
				case strings.TrimSpace(in.Body.Reason) == "":
					return fault.Say("api.block", fault.Invalid, "serve il motivo / the reason is needed")
				}
				return s.Directory.BlockSending(ctx, in.Address, in.Body.Reason)
			})
		})
	register(s, operation{name: "set-state", method: put, path: "/mailboxes/{address}/state", summary: "Attiva, disattiva, blocca, chiude / Activates, deactivates, blocks, closes"}, s.setState)
	register(s, operation{name: "set-ordinary-mail", method: put, path: "/mailboxes/{address}/ordinary-mail", summary: "Apre o chiude alla posta ordinaria / Opens or closes to ordinary mail"},
		func(ctx context.Context, in *ordinaryIn) (*mailboxOut, error) {
			return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
				switch {
				case in.Body.Redirect == "":
					return s.Directory.SetOrdinary(ctx, in.Address, in.Body.Open)
				case in.Body.Open:
					return fault.Say("api.setOrdinary", fault.Invalid, "redirect vale solo per una casella chiusa alla posta ordinaria / redirect is for a closed mailbox")
				}
				return s.Directory.CloseToOrdinary(ctx, in.Address, in.Body.Redirect)
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
	return s.changed(ctx, in.Address, in.Change, func(storage.Mailbox) error {
		return s.Directory.SetMailboxState(ctx, in.Address, storage.MailboxState(in.Body.State))
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
