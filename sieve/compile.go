// SPDX-License-Identifier: EUPL-1.2

package sieve

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"pecd/rfc822"
)

// Script is a compiled script. It is not changed by runs, which may go on at
// the same time.
type Script struct{ body []command }

// command is one compiled command.
type command interface{ run(m *machine) error }

// compiler turns what is written into what can be run.
type compiler struct{ required []string }

// Compile reads a script. What is wrong with it is an *Error, the first one.
func Compile(script string) (*Script, error) {
	nodes, err := parse(script)
	if err != nil {
		return nil, err
	}
	c := new(compiler)
	for len(nodes) > 0 && nodes[0].name == "require" { // before anything else (RFC 5228 §3.2)
		if err := c.require(nodes[0]); err != nil {
			return nil, err
		}
		nodes = nodes[1:]
	}
	body, err := c.block(nodes)
	if err != nil {
		return nil, err
	}
	return &Script{body}, nil
}

func (c *compiler) require(n node) error {
	a, err := c.options(n, takes{})
	if err != nil {
		return err
	}
	if err := shape(n, a, text); err != nil {
		return err
	}
	for _, name := range a.rest[0].texts {
		if !slices.Contains(Capabilities(), name) {
			if throwsAway(name) {
				return refused(n.line, name)
			}
			return wrongf(n.line, "estensione non disponibile: %s", "extension is not available: %s", name)
		}
		c.required = append(c.required, name)
	}
	return nil
}

// throwsAway names actions of Sieve and of its extensions that a holder of
// certified mail is not offered.
func throwsAway(name string) bool {
	return slices.Contains([]string{"discard", "reject", "ereject", "vacation", "editheader"}, name)
}

func refused(line int, name string) error {
	return wrongf(line, "%s non è ammesso: la posta certificata non si scarta, non si respinge, non si modifica e non ha risposte automatiche",
		"%s is not allowed: certified mail is not discarded, rejected, changed or answered by itself", name)
}

// need checks that an extension in use was required.
func (c *compiler) need(line int, name string) error {
	if !slices.Contains(c.required, name) {
		return wrongf(line, `manca require "%s"`, `require "%s" is missing`, name)
	}
	return nil
}

// block compiles commands, if with its elsif and else as one.
func (c *compiler) block(nodes []node) ([]command, error) {
	var body []command
	for len(nodes) > 0 {
		n := nodes[0]
		nodes = nodes[1:]
		if n.name == "if" {
			whole := []node{n}
			for len(nodes) > 0 && (nodes[0].name == "elsif" || nodes[0].name == "else") {
				whole = append(whole, nodes[0])
				nodes = nodes[1:]
				if whole[len(whole)-1].name == "else" {
					break
				}
			}
			choice, err := c.choice(whole)
			if err != nil {
				return nil, err
			}
			body = append(body, choice)
			continue
		}
		cmd, err := c.command(n)
		if err != nil {
			return nil, err
		}
		body = append(body, cmd)
	}
	return body, nil
}

// choice compiles if, elsif …, else.
func (c *compiler) choice(whole []node) (command, error) {
	var all choice
	for _, n := range whole {
		var b branch
		switch {
		case n.ended:
			return nil, wrongf(n.line, "dopo %s manca il blocco { }", "the block { } is missing after %s", n.name)
		case len(n.args) > 0 || n.list || len(n.tests) != 1 && n.name != "else" || len(n.tests) != 0 && n.name == "else":
			return nil, wrongf(n.line, "argomenti di %s non validi", "wrong arguments of %s", n.name)
		}
		if n.name != "else" {
			t, err := c.test(n.tests[0])
			if err != nil {
				return nil, err
			}
			b.when = t
		}
		body, err := c.block(n.block)
		if err != nil {
			return nil, err
		}
		b.body = body
		all = append(all, b)
	}
	return all, nil
}

func (c *compiler) command(n node) (command, error) {
	switch {
	case throwsAway(n.name):
		return nil, refused(n.line, n.name)
	case n.name == "elsif", n.name == "else":
		return nil, wrongf(n.line, "%s senza if", "%s without if", n.name)
	case !n.ended:
		return nil, wrongf(n.line, "blocco fuori posto dopo %s", "misplaced block after %s", n.name)
	case len(n.tests) > 0:
		return nil, wrongf(n.line, "argomenti di %s non validi", "wrong arguments of %s", n.name)
	}
	switch n.name {
	case "stop":
		a, err := c.options(n, takes{})
		return stop{}, orShape(n, a, err)
	case "keep":
		a, err := c.options(n, takes{flags: true})
		return file{folder: Inbox, flags: a.flags, ownFlags: a.hasFlags}, orShape(n, a, err)
	case "fileinto":
		return c.fileinto(n)
	case "redirect":
		return c.redirect(n)
	case "setflag", "addflag", "removeflag":
		return c.changeFlags(n)
	case "require":
		return nil, wrong(n.line, "require va all'inizio del filtro", "require belongs at the beginning of the script")
	}
	return nil, wrongf(n.line, "comando sconosciuto: %s", "unknown command: %s", n.name)
}

func (c *compiler) fileinto(n node) (command, error) {
	if err := c.need(n.line, "fileinto"); err != nil {
		return nil, err
	}
	a, err := c.options(n, takes{copy: true, create: true, flags: true})
	if err := orShape(n, a, err, text); err != nil {
		return nil, err
	}
	name, ok := folderName(a.rest[0].texts)
	if !ok {
		return nil, wrong(n.line, "nome di cartella non valido", "not the name of a folder")
	}
	return file{folder: name, copy: a.copy, flags: a.flags, ownFlags: a.hasFlags}, nil
}

// folderName is the name of a folder in the form that the store keeps: NFC,
// levels parted by "/", INBOX in capitals.
func folderName(texts []string) (name string, ok bool) {
	if len(texts) != 1 || len(texts[0]) > maxName {
		return "", false
	}
	if name = norm.NFC.String(texts[0]); len(name) > maxName {
		return "", false
	}
	levels := strings.Split(name, "/")
	for _, l := range levels {
		if l == "" || strings.ContainsFunc(l, unicode.IsControl) {
			return "", false
		}
	}
	if strings.EqualFold(levels[0], Inbox) {
		levels[0] = Inbox
	}
	return strings.Join(levels, "/"), len(levels) <= 10
}

func (c *compiler) redirect(n node) (command, error) {
	a, err := c.options(n, takes{copy: true})
	if err := orShape(n, a, err, text); err != nil {
		return nil, err
	}
	to := a.rest[0].texts
	if len(to) != 1 || !rfc822.ValidAddress(to[0]) {
		return nil, wrong(n.line, "indirizzo di inoltro non valido", "not an address to forward to")
	}
	at := strings.LastIndexByte(to[0], '@')
	return redirect{to: to[0][:at] + strings.ToLower(to[0][at:])}, nil
}

func (c *compiler) changeFlags(n node) (command, error) {
	if err := c.need(n.line, "imap4flags"); err != nil {
		return nil, err
	}
	a, err := c.options(n, takes{})
	if err := orShape(n, a, err, text); err != nil {
		return nil, err
	}
	flags, err := flagList(n.line, a.rest[0].texts)
	return changeFlags{how: n.name, flags: flags}, err
}
