// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"pecd/clock"
	"pecd/directory"
)

// operation is a command that works on an open node (ADR 0009 §1). Its value
// travels as JSON to the node that runs; where none runs the command opens the
// node's store and does it itself.
type operation interface {
	do(ctx context.Context, c call) error
}

// call is what an operation is done with.
type call struct {
	node  *node
	out   io.Writer
	actor string // who asked, for the log: the operating system's user
}

// operations makes an empty value of each operation, by the words of its command.
func operations() map[string]func() operation {
	return map[string]func() operation{
		"verify":            func() operation { return new(verifyCmd) },
		"status":            func() operation { return new(statusCmd) },
		"domain add":        func() operation { return new(domainAddCmd) },
		"domain list":       func() operation { return new(domainListCmd) },
		"domain dns":        func() operation { return new(domainDNSCmd) },
		"domain certify":    func() operation { return new(domainCertifyCmd) },
		"domain set":        func() operation { return new(domainSetCmd) },
		"ledger verify":     func() operation { return new(ledgerVerifyCmd) },
		"ledger search":     func() operation { return new(ledgerSearchCmd) },
		"ledger extract":    func() operation { return new(ledgerExtractCmd) },
		"quarantine list":   func() operation { return new(quarantineListCmd) },
		"quarantine export": func() operation { return new(quarantineExportCmd) },
		"index status":      func() operation { return new(indexStatusCmd) },
		"index refresh":     func() operation { return new(indexRefreshCmd) },
		"index accept":      func() operation { return new(indexAcceptCmd) },
		"ledger seal":       func() operation { return new(ledgerSealCmd) },
		"queue list":        func() operation { return new(queueListCmd) },
		"queue hold":        func() operation { return new(queueHoldCmd) },
		"queue release":     func() operation { return new(queueReleaseCmd) },
		"queue retry":       func() operation { return new(queueRetryCmd) },
		"queue resume":      func() operation { return new(queueResumeCmd) },
		"queue drop":        func() operation { return new(queueDropCmd) },
		"backup":            func() operation { return new(backupCreateCmd) },
		"queue fail":        func() operation { return new(queueFailCmd) },
		"mailbox add":       func() operation { return new(mailboxAddCmd) },
		"mailbox list":      func() operation { return new(mailboxListCmd) },
		"mailbox state":     func() operation { return new(mailboxStateCmd) },
		"mailbox ordinary":  func() operation { return new(mailboxOrdinaryCmd) },
		"mailbox set":       func() operation { return new(mailboxSetCmd) },
		"mailbox limits":    func() operation { return new(mailboxLimitsCmd) },
		"mailbox block":     func() operation { return new(mailboxBlockCmd) },
		"mailbox unblock":   func() operation { return new(mailboxUnblockCmd) },
		"mailbox users":     func() operation { return new(mailboxUsersCmd) },
		"mailbox show":      func() operation { return new(mailboxShowCmd) },
		"mailbox transform": func() operation { return new(mailboxTransformCmd) },
		"mailbox raise":     func() operation { return new(mailboxRaiseCmd) },

		"tier list":   func() operation { return new(tierListCmd) },
		"tier show":   func() operation { return new(tierShowCmd) },
		"tier set":    func() operation { return new(tierSetCmd) },
		"body add":    func() operation { return new(bodyAddCmd) },
		"body list":   func() operation { return new(bodyListCmd) },
		"body show":   func() operation { return new(bodyShowCmd) },
		"body import": func() operation { return new(bodyImportCmd) },
		"body set":    func() operation { return new(bodySetCmd) },

		"protection show":   func() operation { return new(protectionShowCmd) },
		"protection set":    func() operation { return new(protectionSetCmd) },
		"protection counts": func() operation { return new(protectionCountsCmd) },

		"filter put":      func() operation { return new(filterPutCmd) },
		"filter show":     func() operation { return new(filterShowCmd) },
		"filter list":     func() operation { return new(filterListCmd) },
		"filter activate": func() operation { return new(filterActivateCmd) },
		"filter remove":   func() operation { return new(filterRemoveCmd) },
		"filter test":     func() operation { return new(filterTestCmd) },

		"contact add":     func() operation { return new(contactAddCmd) },
		"contact confirm": func() operation { return new(contactConfirmCmd) },
		"contact list":    func() operation { return new(contactListCmd) },
		"contact remove":  func() operation { return new(contactRemoveCmd) },
		"notice on":       func() operation { return new(noticeOnCmd) },
		"notice off":      func() operation { return new(noticeOffCmd) },
		"notice list":     func() operation { return new(noticeListCmd) },
		"notice allow":    func() operation { return new(noticeAllowCmd) },

		"user add":      func() operation { return new(userAddCmd) },
		"user list":     func() operation { return new(userListCmd) },
		"user show":     func() operation { return new(userShowCmd) },
		"user disable":  func() operation { return new(userDisableCmd) },
		"user enable":   func() operation { return new(userEnableCmd) },
		"user delete":   func() operation { return new(userDeleteCmd) },
		"user password": func() operation { return new(userPasswordCmd) },
		"user grant":    func() operation { return new(userGrantCmd) },
		"user revoke":   func() operation { return new(userRevokeCmd) },

		"guesses list":  func() operation { return new(guessesListCmd) },
		"guesses clear": func() operation { return new(guessesClearCmd) },
		"token add":     func() operation { return new(tokenAddCmd) },
		"token list":    func() operation { return new(tokenListCmd) },
		"token revoke":  func() operation { return new(tokenRevokeCmd) },

		"user app-password add":    func() operation { return new(appPasswordAddCmd) },
		"user app-password list":   func() operation { return new(appPasswordListCmd) },
		"user app-password revoke": func() operation { return new(appPasswordRevokeCmd) },
	}
}

// opener opens a node that does not run.
type opener func(ctx context.Context, cfg *Config, clk clock.Clock, log *slog.Logger) (*node, error)

// nodeFlag names the node an operation works on.
type nodeFlag struct {
	Config string `required:"" type:"path" placeholder:"FILE" json:"-" help:"Configuration of the node, running or stopped."`
}

// perform does an operation on the node: in the running one, else here, with
// what open opens. Its output goes to w.
func (f nodeFlag) perform(e *env, w io.Writer, name string, op operation, open opener) error {
	cfg, err := readConfig(f.Config)
	if err != nil {
		return err
	}
	running, err := askNode(e.ctx, cfg, w, name, op)
	if running || err != nil {
		return err
	}
	log, err := newLogger(e.stderr, cfg.Log)
	if err != nil {
		return err
	}
	n, err := open(e.ctx, cfg, e.clock, log)
	if err != nil {
		return err
	}
	actor := processUser()
	return errors.Join(op.do(directory.As(e.ctx, actor), call{node: n, out: w, actor: actor}), n.close())
}
