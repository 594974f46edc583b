// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"pecd/ledger"
	"pecd/quarantine"
	"pecd/storage"
)

type quarantineCmd struct {
	List   quarantineListCmd   `cmd:"" help:"List infected messages that are kept. / Elenca i messaggi con virus."`
	Export quarantineExportCmd `cmd:"" help:"Decrypt one, with the private key; it is written to the log first. / Estrae un messaggio con virus."`
	Keygen quarantineKeygenCmd `cmd:"" help:"Make the key pair. / Genera la coppia di chiavi."`
}

type quarantineListCmd struct {
	nodeFlag
	period
	JSON bool `help:"One JSON object a line."`
}

// Run lists what is kept.
func (c *quarantineListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "quarantine list", c, openStore)
}

func (c *quarantineListCmd) do(ctx context.Context, k call) error {
	zone, err := time.LoadLocation(k.node.cfg.Zone)
	if err != nil {
		return err
	}
	from, to, err := c.times(zone)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(k.out)
	return k.node.store.EachQuarantined(ctx, from, func(q storage.Quarantined) error {
		if !to.IsZero() && !q.At.Before(to) {
			return nil
		}
		if c.JSON {
			return enc.Encode(q)
		}
		_, err := fmt.Fprintf(k.out, "%d\t%s\t%s\t%q\t%q\t%q\t%q\n", q.ID, q.At.In(zone).Format(time.RFC3339), q.Point, q.Message, q.Virus, q.Sender, q.Recipients)
		return err
	})
}

type quarantineExportCmd struct {
	nodeFlag
	ID       int64  `arg:"" help:"Number, from the list."`
	Identity string `required:"" type:"existingfile" json:"-" help:"File with the private key (pecd quarantine keygen)."`
	Out      string `required:"" type:"path" json:"-" placeholder:"FILE" help:"Where the message goes; it must not be there. BEWARE: it is infected."`
}

// Run decrypts one message here: the key does not reach the node.
func (c *quarantineExportCmd) Run(e *env) (err error) {
	identity, err := quarantine.LoadIdentity(c.Identity)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(c.Out)) // half a message is none
		}
	}()
	r, w := io.Pipe()
	fetched := make(chan error, 1)
	go func() {
		err := c.perform(e, w, "quarantine export", c, openStore)
		w.CloseWithError(err) // nil: the end
		fetched <- err
	}()
	clear, err := identity.Decrypt(r)
	if err == nil {
		_, err = io.Copy(out, clear)
	}
	r.CloseWithError(errors.New("abandoned"))
	if ferr := <-fetched; ferr != nil && (err == nil || errors.Is(err, ferr)) {
		return ferr
	}
	return err
}

// do writes the reading to the log, then gives out the encrypted message.
func (c *quarantineExportCmd) do(ctx context.Context, k call) error {
	q, err := k.node.store.Quarantined(ctx, c.ID)
	if err != nil {
		return err
	}
	read := ledger.Event{
		At: k.node.clock.Now(), Kind: ledger.QuarantineRead, ID: q.Message, Sender: q.Sender, Provider: q.Provider, Virus: q.Virus,
		Actor: k.actor, Detail: fmt.Sprintf("quarantena / quarantine %d", q.ID),
	}
	if err := k.node.store.Commit(ctx, new(storage.Step).Add(recordOf(read))); err != nil {
		return err
	}
	body, err := k.node.store.OpenBody(ctx, q.Body)
	if err != nil {
		return err
	}
	_, err = io.Copy(k.out, io.NewSectionReader(body, 0, body.Size()))
	return errors.Join(err, body.Close())
}

type quarantineKeygenCmd struct {
	Out string `required:"" type:"path" placeholder:"FILE" help:"Private key; keep it away from the node."`
}

// Run makes the key pair and prints the public key for the configuration.
func (c *quarantineKeygenCmd) Run(e *env) error {
	private, recipient, err := quarantine.NewIdentity()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(private); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "[quarantine]\nrecipient = %q\n", recipient)
	return err
}
