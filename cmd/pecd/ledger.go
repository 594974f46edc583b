// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"pecd/ledger"
	"pecd/seal"
	"pecd/signer"
	"pecd/storage"
)

type ledgerCmd struct {
	Verify  ledgerVerifyCmd  `cmd:"" help:"Prove the PEC log: chain, sealed days, signatures, time stamps. / Verifica il log PEC."`
	Seal    ledgerSealCmd    `cmd:"" help:"Close past days and ask for missing time stamps now. / Sigilla ora le giornate passate."`
	Search  ledgerSearchCmd  `cmd:"" help:"Find events. / Cerca eventi."`
	Extract ledgerExtractCmd `cmd:"" help:"Events of one holder, or all, with what proves them. / Estratto del log."`
	Inspect ledgerInspectCmd `cmd:"" help:"Prove a folder of sealed days without the node. / Verifica una cartella di giornate sigillate."`
}

type ledgerVerifyCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// Run proves the log.
func (c *ledgerVerifyCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "ledger verify", c, openNode)
}

func (c *ledgerVerifyCmd) do(ctx context.Context, k call) error {
	proof, err := k.node.proof()
	if err != nil {
		return err
	}
	r := ledgerReport{json: c.JSON, out: k.out, Problems: []string{}, Delays: []string{}}
	v := seal.Verification{
		Log: k.node.store, Dir: k.node.sealDir(), Provider: k.node.cfg.Provider.Name, Zone: k.node.core.Builder.Location,
		Now: k.node.clock.Now(), Proof: proof,
	}
	if r.Summary, err = seal.Verify(ctx, v, r.add); err != nil {
		return err
	}
	if r.Summary.Problems > 0 {
		err = k.node.daybook.Broken(fmt.Sprintf("pecd ledger verify: %d problemi / problems", r.Summary.Problems))
	} else {
		err = k.node.daybook.Cleared()
	}
	return errors.Join(r.close(), err)
}

type ledgerSealCmd struct{ nodeFlag }

// Run closes past days.
func (c *ledgerSealCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "ledger seal", c, openNode)
}

func (c *ledgerSealCmd) do(ctx context.Context, k call) error {
	err := k.node.daybook.SealNow(ctx)
	s, serr := k.node.status(ctx)
	if serr == nil {
		_, serr = fmt.Fprintf(k.out, "ultimo sigillo / last seal: %d (%s), senza marca / unstamped: %d\n", s.Seals.Last, s.Seals.Day, s.Seals.Unstamped)
	}
	return errors.Join(err, serr)
}

// ledgerReport prints what a verification finds.
type ledgerReport struct {
	seal.Summary
	Problems []string `json:"problems"`
	Delays   []string `json:"delays"` // of time stamps: no problems, but to be explained
	json     bool
	out      io.Writer
}

func (r *ledgerReport) add(p seal.Problem) error {
	switch {
	case r.json && p.Late:
		r.Delays = append(r.Delays, p.String())
		return nil
	case r.json:
		r.Problems = append(r.Problems, p.String())
		return nil
	}
	class := "PROBLEMA"
	if p.Late {
		class = "TARDI / LATE"
	}
	_, err := fmt.Fprintf(r.out, "%s %s\n", class, p)
	return err
}

func (r *ledgerReport) close() error {
	s := r.Summary
	var err error
	if r.json {
		enc := json.NewEncoder(r.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(r)
	} else {
		verdict := "log integro / clean"
		if s.Problems > 0 {
			verdict = fmt.Sprintf("%d problemi / problems", s.Problems)
		}
		_, err = fmt.Fprintf(r.out, "%q: eventi / events %d … %d, giornate sigillate / sealed days %d (fino a / up to %d), senza marca / unstamped %d, "+
			"marcate tardi / late %d, scartate / purged %d, testa / head %d:%x: %s\n",
			s.Provider, s.First, s.Last, s.Seals, s.SealedTo, s.Unstamped, s.Late, s.Purged, s.Last, s.Head, verdict)
	}
	if err == nil && s.Problems > 0 {
		return errProblems
	}
	return err
}

type ledgerSearchCmd struct {
	nodeFlag
	ID        string `help:"Identificativo."`
	MessageID string `help:"Message-ID of the client, or of a receipt."`
	Address   string `help:"Mailbox, sender or recipient."`
	Mailbox   string `help:"Own mailbox concerned."`
	Sender    string `help:"Sender."`
	Recipient string `help:"Recipient."`
	Subject   string `help:"Part of the subject."`
	Kind      string `help:"Kind of event, such as submission.accepted."`
	period
	JSON bool `help:"One JSON object a line, as in the sealed days."`
}

// period is a span of days or instants.
type period struct {
	From string `placeholder:"DAY" help:"First day (2026-11-25), or instant (RFC 3339)."`
	To   string `placeholder:"DAY" help:"Last day, or instant before which."`
}

// times resolves the period in a zone: from ≤ t < to.
func (p period) times(zone *time.Location) (from, to time.Time, err error) {
	at := func(s string, days int) (time.Time, error) {
		if s == "" {
			return time.Time{}, nil
		}
		if t, err := time.ParseInLocation(time.DateOnly, s, zone); err == nil {
			return t.AddDate(0, 0, days), nil
		}
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return t, fmt.Errorf("%q: né un giorno (2026-11-25) né un istante RFC 3339 / neither a day nor an instant", s)
		}
		return t, nil
	}
	from, err = at(p.From, 0)
	if err == nil {
		to, err = at(p.To, 1)
	}
	return from, to, err
}

// Run finds events.
func (c *ledgerSearchCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "ledger search", c, openStore)
}

func (c *ledgerSearchCmd) do(ctx context.Context, k call) error {
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return err
	}
	q := seal.Query{
		ID: c.ID, MessageID: c.MessageID, Address: c.Address, Mailbox: c.Mailbox, Sender: c.Sender, Recipient: c.Recipient,
		Subject: c.Subject, Kind: ledger.Kind(c.Kind),
	}
	if q.From, q.To, err = c.times(zone); err != nil {
		return err
	}
	return seal.Search(ctx, k.node.store, q, func(r storage.Record, e ledger.Event) error {
		if c.JSON {
			_, err := fmt.Fprintf(k.out, "{\"seq\":%d,\"hash\":\"%x\",\"event\":%s}\n", r.Seq, r.Hash, r.Data)
			return err
		}
		_, err := fmt.Fprintf(k.out, "%d\t%s\t%q\t%q\t%q\t%q\n", r.Seq, e.At.In(zone).Format(time.RFC3339), e.Kind, e.ID, e.Sender, e.Subject)
		return err
	})
}

type ledgerExtractCmd struct {
	nodeFlag
	period
	Holder string `xor:"whom" help:"Mailbox of the holder who asks for his messages."`
	All    bool   `xor:"whom" help:"Everything, for the supervising authority."`
	Format string `default:"csv" enum:"csv,json" help:"csv, or json: one object a line."`
	Out    string `required:"" type:"path" placeholder:"FILE" json:"-" help:"The extract; what proves it goes into FILE.manifest.json."`
}

// Run writes the extract and its manifest. Neither file may be there.
func (c *ledgerExtractCmd) Run(e *env) error {
	if (c.Holder == "") != c.All {
		return errors.New("--holder oppure --all / --holder or --all")
	}
	out, err := newPair(c.Out, c.Out+".manifest.json")
	if err != nil {
		return err
	}
	if err := errors.Join(c.perform(e, out, "ledger extract", c, openStore), out.close()); err != nil {
		return errors.Join(err, out.remove())
	}
	_, err = fmt.Fprintf(e.stdout, "estratto / extract: %s\nprova / proof:     %s.manifest.json\n", c.Out, c.Out)
	return err
}

func (c *ledgerExtractCmd) do(ctx context.Context, k call) error {
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return err
	}
	req := seal.Request{Holder: c.Holder, Form: seal.CSV, Actor: k.actor, Provider: k.node.cfg.Provider.Name}
	if c.Format == "json" {
		req.Form = seal.JSONLines
	}
	if req.From, req.To, err = c.times(zone); err != nil {
		return err
	}
	m, err := seal.Extract(ctx, k.node.store, k.node.clock, req, k.out)
	if err != nil {
		return err
	}
	proof, err := m.Encode()
	if err == nil {
		_, err = k.out.Write(append([]byte{pairMark}, proof...))
	}
	return err
}

type ledgerInspectCmd struct {
	Dir   string   `arg:"" type:"existingdir" help:"Folder of sealed days."`
	CA    []string `required:"" type:"existingfile" help:"Authorities of the providers' signing certificates, PEM."`
	TSACA []string `required:"" name:"tsa-ca" type:"existingfile" help:"Authorities of the time stamps, PEM."`
	JSON  bool     `help:"Print JSON."`
}

// Run proves a folder alone, as an inspector has it.
func (c *ledgerInspectCmd) Run(e *env) error {
	authorities, err := loadAll(c.CA)
	if err != nil {
		return err
	}
	stamps, err := loadAll(c.TSACA)
	if err != nil {
		return err
	}
	r := ledgerReport{json: c.JSON, out: e.stdout, Problems: []string{}, Delays: []string{}}
	if r.Summary, err = seal.VerifyFolder(e.ctx, c.Dir, seal.ProofBy(signer.NewVerifier(signer.PECConfig(authorities...)), stamps), r.add); err != nil {
		return err
	}
	return r.close()
}
