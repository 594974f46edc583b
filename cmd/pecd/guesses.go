// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"text/tabwriter"
	"time"

	"pecd/directory"
	"pecd/fault"
	"pecd/guesses"
	"pecd/ledger"
	"pecd/storage"
)

// newGuard makes the one count for whoever tries passwords, by whatever door, and
// shares it with other nodes where there is a Redis.
func (n *node) newGuard() *guesses.Guard {
	var counter guesses.Counter = guesses.NewLocal(n.clock)
	if n.redis != nil {
		counter = guesses.NewShared(n.redis, n.cfg.Redis.Prefix+":", n.clock, n.log)
	}
	return guesses.NewGuard(guesses.Config{Counter: counter, Clock: n.clock, Logger: n.log, Report: n.recordTurned, Pressed: n.conduct.Pressed})
}

// recalled is how many of the newest records of the PEC log are looked through for
// logins at the start: those of 30 days on most nodes, some seconds of reading on
// the others.
const recalled = 500_000

// recallNetworks learns from the PEC log where accounts were opened from before the
// start: otherwise every holder would be a stranger after a restart.
func (n *node) recallNetworks(ctx context.Context) {
	st, err := n.store.LogState(ctx)
	if err == nil {
		err = n.store.Records(ctx, max(st.First, st.Last-recalled), func(r storage.Record) error {
			if r.Event != string(ledger.Access) {
				return nil
			}
			e, err := ledger.Decode(r.Data)
			if ip := net.ParseIP(e.Peer); err == nil && ip != nil && e.User != "" {
				n.guard.Recall(directory.ClientNetwork(&net.TCPAddr{IP: ip}), e.User, e.At)
			}
			return err
		})
	}
	if err != nil && ctx.Err() == nil {
		n.log.Error("holders are strangers at their usual places until their next login", "error", err)
	}
}

// recordTurned writes to the PEC log who was turned away.
func (n *node) recordTurned(ctx context.Context, all []guesses.Turned) error {
	step := new(storage.Step)
	for _, t := range all {
		e := ledger.Event{At: n.clock.Now(), Kind: ledger.GuessBlocked, User: t.Account, Count: t.Count}
		switch {
		case t.Client.IsValid():
			e.Peer, e.Detail = clientText(t.Client), "troppe password errate da questo indirizzo / too many wrong passwords from this address"
		case t.Account != "":
			e.Detail = "troppe password errate per questo utente / too many wrong passwords for this user"
		default:
			e.Detail = "altri accessi rinviati / other logins put off"
		}
		step.Add(recordOf(e))
	}
	return n.store.Commit(ctx, step)
}

// clientText writes a client network as operators know it: an address, or the
// prefix of an IPv6 customer.
func clientText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

type guessesCmd struct {
	List  guessesListCmd  `cmd:"" help:"Who has to wait after too many wrong passwords. / Chi deve attendere per troppe password errate."`
	Clear guessesClearCmd `cmd:"" help:"Let them try at once. / Azzera i conteggi."`
}

type guessesListCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// blockedView is somebody who waits, as commands print him.
type blockedView struct {
	Address string    `json:"address,omitempty"`
	Account string    `json:"account,omitempty"`
	Until   time.Time `json:"until"`
}

// Run lists who waits, in the running node.
func (c *guessesListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "guesses list", c, openStore)
}

func (c *guessesListCmd) do(ctx context.Context, k call) error {
	if k.node.guard == nil {
		return errNoCounts()
	}
	all, err := k.node.guard.Blocked(ctx)
	views := make([]blockedView, len(all))
	for i, b := range all {
		views[i] = blockedView{Account: b.Account, Until: b.Until.UTC()}
		if b.Client.IsValid() {
			views[i].Address = clientText(b.Client)
		}
	}
	if c.JSON {
		if werr := json.NewEncoder(k.out).Encode(views); werr != nil {
			return werr
		}
		return err
	}
	w := tabwriter.NewWriter(k.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHI / WHO\tPROSSIMO TENTATIVO / NEXT TRY")
	for _, v := range views {
		who := v.Address + v.Account
		if who == "" {
			who = "(utente inesistente / no such user)"
		}
		fmt.Fprintf(w, "%s\t%s\n", who, v.Until.Format(time.RFC3339))
	}
	if werr := w.Flush(); werr != nil {
		return werr
	}
	return err
}

type guessesClearCmd struct {
	nodeFlag
	Who string `arg:"" optional:"" help:"IP address or login; without it, with --all, everybody."`
	All bool   `help:"Everybody."`
}

// Run clears counts in the running node.
func (c *guessesClearCmd) Run(e *env) error {
	if (c.Who == "") != c.All {
		return fmt.Errorf("un indirizzo IP, un utente o --all / an IP address, a login or --all")
	}
	return c.perform(e, e.stdout, "guesses clear", c, openStore)
}

func (c *guessesClearCmd) do(ctx context.Context, k call) error {
	if k.node.guard == nil {
		return errNoCounts()
	}
	ev := ledger.Event{At: k.node.clock.Now(), Kind: ledger.GuessCleared, Actor: k.actor, Detail: "tutti / all"}
	var from netip.Prefix
	login := ""
	if ip, err := netip.ParseAddr(c.Who); err == nil {
		from = directory.ClientNetwork(&net.TCPAddr{IP: ip.AsSlice()})
		ev.Peer, ev.Detail = clientText(from), ""
	} else if p, err := netip.ParsePrefix(c.Who); err == nil {
		from = directory.ClientNetwork(&net.TCPAddr{IP: p.Addr().AsSlice()})
		ev.Peer, ev.Detail = clientText(from), ""
	} else if c.Who != "" {
		login = directory.LoginKey(c.Who)
		ev.User, ev.Detail = login, ""
	}
	if err := k.node.store.Commit(ctx, new(storage.Step).Add(recordOf(ev))); err != nil {
		return err
	}
	return k.node.guard.Clear(ctx, from, login)
}

// errNoCounts: a node that does not run counts nothing.
func errNoCounts() error {
	return fault.Say("guesses", fault.Temporary, "il nodo non è in esecuzione: nessun conteggio / the node does not run: nothing is counted")
}
