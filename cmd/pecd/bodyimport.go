// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"pecd/directory"
	"pecd/roster"
)

type bodyImportCmd struct {
	nodeFlag
	File      string   `arg:"" type:"path" placeholder:"FILE.csv" json:"-" help:"Columns: indirizzo, tipologia, intestatario, utente, nome, permessi, posta_ordinaria; one line a user."`
	Body      string   `required:"" placeholder:"CODE" help:"Code of the body (codice IPA)."`
	Name      string   `help:"Name of the body, which is created."`
	Domain    []string `help:"A domain that is created for the body, where it is not there."`
	Pending   bool     `help:"Create the domains as not certified yet."`
	DryRun    bool     `help:"Check everything, create nothing. / Controlla soltanto."`
	Passwords string   `type:"path" placeholder:"OUT.csv" json:"-" help:"A new file for the passwords that are made. Without it users get none, and set one by a link."`

	Contents []byte `kong:"-"`
	Generate bool   `kong:"-"`
}

// importNews is one line of the operation's output, for the command that asked.
type importNews struct {
	Password  *firstPassword       `json:"password,omitempty"`
	Done      int                  `json:"done,omitempty"` // passwords made, of All
	All       int                  `json:"all,omitempty"`
	Objection *directory.Objection `json:"objection,omitempty"`
	Enrolled  *directory.Enrolled  `json:"enrolled,omitempty"`
}

type firstPassword struct{ Login, Name, Password string }

// Run imports the file.
func (c *bodyImportCmd) Run(e *env) (err error) {
	if c.Contents, err = readBounded(c.File, roster.MaxBytes); err != nil {
		return err
	}
	out := &importOutput{stdout: e.stdout, stderr: e.stderr, dryRun: c.DryRun}
	if c.Passwords != "" && !c.DryRun {
		c.Generate = true
		if err := out.keepPasswords(c.Passwords); err != nil {
			return err
		}
	}
	err = c.perform(e, out, "body import", c, openStore)
	return errors.Join(err, out.close(err))
}

// readBounded reads a file of at most most octets; one that is longer is cut one
// octet beyond, to be refused as too long.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

func (c *bodyImportCmd) do(ctx context.Context, k call) error {
	enc := json.NewEncoder(flushing{k.out})
	e := directory.Enrolment{Body: c.Body, Name: c.Name, Domains: c.Domain, Pending: c.Pending, DryRun: c.DryRun}
	if c.Generate {
		e.Password = func(u directory.EnrolledUser, password string) error {
			return enc.Encode(importNews{Password: &firstPassword{u.Login, u.Name, password}})
		}
		e.Progress = func(done, all int) {
			if done%10 == 0 || done == all {
				enc.Encode(importNews{Done: done, All: all}) // the next password tells if nobody reads
			}
		}
	}
	done, objections, err := roster.Import(ctx, k.node.users, c.Contents, e)
	if err != nil {
		return err
	}
	for _, o := range objections {
		if err := enc.Encode(importNews{Objection: &o}); err != nil {
			return err
		}
	}
	if len(objections) > 0 {
		return errProblems
	}
	return enc.Encode(importNews{Enrolled: &done})
}

// flushing sends each line at once: passwords are out of this process before
// anything is created with them.
type flushing struct{ io.Writer }

// Write implements io.Writer.
func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if w, ok := f.Writer.(http.Flusher); ok && err == nil {
		w.Flush()
	}
	return n, err
}

// importOutput takes the operation's output apart: passwords into their file,
// progress and objections for the person who waits.
type importOutput struct {
	stdout, stderr io.Writer
	dryRun         bool
	line           []byte // not complete yet
	file           *os.File
	passwords      *csv.Writer
	made           bool // there are passwords
}

// keepPasswords makes the file of the passwords, which must not be there: nobody
// else can read it.
func (o *importOutput) keepPasswords(name string) (err error) {
	if o.file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	_, err = o.file.WriteString("\ufeff")
	o.passwords = csv.NewWriter(o.file)
	o.passwords.Comma = ';'
	return errors.Join(err, o.write("utente", "nome", "password"))
}

func (o *importOutput) write(cells ...string) error {
	for i, cell := range cells {
		cells[i] = plainCell(cell)
	}
	err := o.passwords.Write(cells)
	o.passwords.Flush()
	return errors.Join(err, o.passwords.Error())
}

// Write implements io.Writer.
func (o *importOutput) Write(p []byte) (int, error) {
	o.line = append(o.line, p...)
	for {
		line, rest, ok := bytes.Cut(o.line, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		var news importNews
		if err := json.Unmarshal(line, &news); err != nil {
			return 0, err
		}
		o.line = rest
		if err := o.tell(news); err != nil {
			return 0, err
		}
	}
}

func (o *importOutput) tell(n importNews) (err error) {
	switch {
	case n.Password != nil && o.file != nil:
		o.made = true
		return o.write(n.Password.Login, n.Password.Name, n.Password.Password)
	case n.All > 0:
		_, err = fmt.Fprintf(o.stderr, "password: %d di / of %d\n", n.Done, n.All)
	case n.Objection != nil && n.Objection.Line > 0:
		_, err = fmt.Fprintf(o.stdout, "riga / line %d: %s\n", n.Objection.Line, n.Objection.Text)
	case n.Objection != nil:
		_, err = fmt.Fprintln(o.stdout, n.Objection.Text)
	case n.Enrolled != nil:
		_, err = fmt.Fprintf(o.stdout, "%s: caselle / mailboxes %d, utenti nuovi / new users %d, permessi / permissions %d\n",
			choose(o.dryRun, "da creare / to be created", "creati / created"), n.Enrolled.Mailboxes, n.Enrolled.Users, n.Enrolled.Grants)
	}
	return err
}

// close closes the file of the passwords, and removes it where they are nobody's
// for certain. An answer that was cut off may be that to a step which was made:
// then they are the only passwords of who was created.
func (o *importOutput) close(outcome error) error {
	if o.file == nil {
		return nil
	}
	err := errors.Join(o.file.Sync(), o.file.Close())
	switch {
	case outcome == nil:
		return err
	case o.made && !errors.Is(outcome, errProblems):
		_, told := fmt.Fprintf(o.stderr, "le password restano in %s: valgono se gli utenti sono stati creati (pecd body show) / the passwords stay there: they are good if the users were created\n", o.file.Name())
		return errors.Join(err, told)
	}
	return errors.Join(err, os.Remove(o.file.Name()))
}
