// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"pecd/rfc822"
	"pecd/sieve"
)

type filterCmd struct {
	Put      filterPutCmd      `cmd:"" help:"Store a Sieve script, read from standard input or a file. / Salva un filtro."`
	Show     filterShowCmd     `cmd:"" help:"Print a script. / Mostra un filtro."`
	List     filterListCmd     `cmd:"" help:"List the scripts of a mailbox. / Elenca i filtri di una casella."`
	Activate filterActivateCmd `cmd:"" help:"Choose the script that is run, or none. / Attiva un filtro, o nessuno."`
	Remove   filterRemoveCmd   `cmd:"" help:"Remove a script. / Elimina un filtro."`
	Test     filterTestCmd     `cmd:"" help:"Say what a script would do with a message. / Prova un filtro su un messaggio."`
}

type filterPutCmd struct {
	nodeFlag
	Address  string `arg:"" help:"Address of the mailbox."`
	Name     string `arg:"" help:"Name of the script."`
	File     string `type:"path" json:"-" placeholder:"FILE" help:"File with the script; without it standard input is read."`
	Activate bool   `help:"Have it run from now on."`
	Script   string `kong:"-"`
}

// Run stores the script.
func (c *filterPutCmd) Run(e *env) (err error) {
	if c.Script, err = readScript(c.File); err != nil {
		return err
	}
	return c.perform(e, e.stdout, "filter put", c, openStore)
}

func (c *filterPutCmd) do(ctx context.Context, k call) error {
	if err := k.node.users.PutFilter(ctx, c.Address, c.Name, c.Script); err != nil || !c.Activate {
		return err
	}
	return k.node.users.ActivateFilter(ctx, c.Address, c.Name)
}

// readScript reads a script from a file, or from standard input for "".
func readScript(file string) (string, error) {
	in := io.Reader(os.Stdin)
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, sieve.MaxScript+1))
	return string(text), err
}

type filterShowCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address of the mailbox."`
	Name    string `arg:"" help:"Name of the script."`
}

// Run prints the script.
func (c *filterShowCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "filter show", c, openStore)
}

func (c *filterShowCmd) do(ctx context.Context, k call) error {
	f, err := k.node.users.Filter(ctx, c.Address, c.Name)
	if err != nil {
		return err
	}
	_, err = io.WriteString(k.out, f.Script)
	return err
}

type filterListCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address of the mailbox."`
	JSON    bool   `help:"One JSON object a line."`
}

// filterView is a script as commands print it.
type filterView struct {
	Name   string    `json:"name"`
	Active bool      `json:"active"`
	At     time.Time `json:"at"`
	Bytes  int       `json:"bytes"`
}

// Run lists the scripts.
func (c *filterListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "filter list", c, openStore)
}

func (c *filterListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.users.Filters(ctx, c.Address)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(k.out)
	for _, f := range all {
		v := filterView{f.Name, f.Active, f.At, len(f.Script)}
		if c.JSON {
			err = enc.Encode(v)
		} else {
			state := "-"
			if v.Active {
				state = "attivo/active"
			}
			_, err = fmt.Fprintf(k.out, "%s\t%s\t%s\t%d\n", v.Name, state, v.At.Format(time.RFC3339), v.Bytes)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type filterActivateCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address of the mailbox."`
	Name    string `arg:"" optional:"" help:"Name of the script."`
	None    bool   `help:"No script is run. / Nessun filtro."`
}

// Run chooses the script.
func (c *filterActivateCmd) Run(e *env) error {
	if (c.Name == "") != c.None {
		return errors.New("indicare un filtro oppure --none / name a script, or --none")
	}
	return c.perform(e, e.stdout, "filter activate", c, openStore)
}

func (c *filterActivateCmd) do(ctx context.Context, k call) error {
	return k.node.users.ActivateFilter(ctx, c.Address, c.Name)
}

type filterRemoveCmd struct {
	nodeFlag
	Address string `arg:"" help:"Address of the mailbox."`
	Name    string `arg:"" help:"Name of the script."`
}

// Run removes the script.
func (c *filterRemoveCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "filter remove", c, openStore)
}

func (c *filterRemoveCmd) do(ctx context.Context, k call) error {
	return k.node.users.RemoveFilter(ctx, c.Address, c.Name)
}

type filterTestCmd struct {
	nodeFlag
	Address string  `arg:"" help:"Address of the mailbox."`
	Message string  `arg:"" type:"path" json:"-" help:"File with the message, as a mail client saves it (.eml)."`
	Name    string  `help:"Name of the script; without it and without --script the active one."`
	File    string  `name:"script" type:"path" json:"-" placeholder:"FILE" help:"File with a script that is not stored."`
	From    *string `help:"Sender of the envelope; without it what Return-Path says."`
	JSON    bool    `help:"Print JSON."`

	Script *string `kong:"-"`
	Header []byte  `kong:"-"`
	Size   int64   `kong:"-"`
}

// headerForTest bounds the header of a message that a script is tried on.
const headerForTest = 256 << 10

// Run tells what the script would do.
func (c *filterTestCmd) Run(e *env) (err error) {
	if c.File != "" {
		text, err := readScript(c.File)
		if err != nil {
			return err
		}
		c.Script = &text
	}
	f, err := os.Open(c.Message)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	c.Size = info.Size()
	if c.Header, err = io.ReadAll(io.LimitReader(f, headerForTest)); err != nil {
		return err
	}
	for _, end := range []string{"\r\n\r\n", "\n\n"} { // nothing of the text goes to the node
		if i := bytes.Index(c.Header, []byte(end)); i >= 0 {
			c.Header = c.Header[:i+len(end)]
		}
	}
	return c.perform(e, e.stdout, "filter test", c, openStore)
}

func (c *filterTestCmd) do(ctx context.Context, k call) error {
	script, err := c.script(ctx, k)
	if err != nil {
		return err
	}
	h, err := rfc822.ParseHeader(c.Header, rfc822.DefaultLimits())
	if err != nil {
		return err
	}
	from := strings.Trim(h.Get("Return-Path"), "<> ")
	if c.From != nil {
		from = *c.From
	}
	actions, failure := script.Run(sieve.Message{Header: h, Size: c.Size, From: from, To: c.Address})
	if c.JSON {
		return json.NewEncoder(k.out).Encode(viewOfActions(actions, failure))
	}
	if failure != nil {
		if _, err := fmt.Fprintf(k.out, "il filtro si interrompe, il messaggio resta in INBOX / the script fails, the message stays in INBOX: %v\n", failure); err != nil {
			return err
		}
	}
	for _, f := range actions.File {
		if _, err := fmt.Fprintf(k.out, "cartella / folder: %s %s\n", f.Folder, strings.Join(f.Flags, " ")); err != nil {
			return err
		}
	}
	for _, to := range actions.Forward {
		if _, err := fmt.Fprintf(k.out, "inoltro / forward: %s\n", to); err != nil {
			return err
		}
	}
	return nil
}

// script is the one that is tried.
func (c *filterTestCmd) script(ctx context.Context, k call) (*sieve.Script, error) {
	if c.Script != nil {
		return sieve.Compile(*c.Script)
	}
	all, err := k.node.users.Filters(ctx, c.Address)
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if c.Name == "" && f.Active || c.Name != "" && f.Name == c.Name {
			return sieve.Compile(f.Script)
		}
	}
	return nil, errors.New("filtro inesistente o nessun filtro attivo / no such script, or none is active")
}

// actionsView is what a script does, as JSON.
type actionsView struct {
	Folders []folderView `json:"folders"`
	Forward []string     `json:"forward,omitempty"`
	Error   string       `json:"error,omitempty"`
}

type folderView struct {
	Folder string   `json:"folder"`
	Flags  []string `json:"flags,omitempty"`
}

func viewOfActions(a sieve.Actions, failure error) actionsView {
	v := actionsView{Forward: a.Forward}
	for _, f := range a.File {
		v.Folders = append(v.Folders, folderView{f.Folder, f.Flags})
	}
	if failure != nil {
		v.Error = failure.Error()
	}
	return v
}
