// SPDX-License-Identifier: EUPL-1.2

// Package roster reads the list of a public body's mailboxes and their users, a CSV
// file as spreadsheets in Italian write it, and has the directory create them
// (ADR 0024 §13).
//
// The first line names the columns, in any order:
//
//	indirizzo        address of the mailbox; needed
//	tipologia        tier, by its code or name; needed in the first line of a mailbox
//	intestatario     name of the holder
//	utente           login of a user; empty: the address itself
//	nome             name of the user
//	permessi         what he may do, with commas; empty: everything
//	posta_ordinaria  sì or no; empty: sì
//
// Each further line is one user of one mailbox. What concerns the mailbox stands in
// its first line, and is the same or empty in the others.
package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

// MaxBytes is how large a file may be.
const MaxBytes = 700_000

// column is one of the columns above.
type column int

const (
	address column = iota
	tier
	holder
	login
	person
	permission
	ordinary
	columns
)

// columnOf knows the columns by their Italian and English names.
func columnOf(name string) (column, bool) {
	switch strings.ReplaceAll(strings.ToLower(strings.TrimSpace(name)), " ", "_") {
	case "indirizzo", "casella", "address":
		return address, true
	case "tipologia", "tier":
		return tier, true
	case "intestatario", "titolare", "holder":
		return holder, true
	case "utente", "nome_utente", "login", "user":
		return login, true
	case "nome", "nominativo", "name":
		return person, true
	case "permessi", "permissions":
		return permission, true
	case "posta_ordinaria", "ordinary":
		return ordinary, true
	}
	return 0, false
}

// row is one line of the file.
type row struct {
	line  int
	cells [columns]string
}

// Read reads a file. What cannot be read of it is told by line; the mailboxes are
// those of the other lines.
func Read(file []byte, tiers []storage.Tier) ([]directory.EnrolledMailbox, []directory.Objection) {
	rows, objections := rowsOf(file)
	g := grouping{tiers: tiers, byAddress: make(map[string]int), objections: objections}
	for _, r := range rows {
		g.add(r)
	}
	return g.boxes, g.objections
}

// rowsOf cuts a file into lines and cells.
func rowsOf(file []byte) ([]row, []directory.Objection) {
	refuse := func(line int, text string) ([]row, []directory.Objection) {
		return nil, []directory.Objection{{Line: line, Text: text}}
	}
	if len(file) > MaxBytes {
		return refuse(0, "il file supera 700.000 byte: dividerlo / the file exceeds 700,000 octets: divide it")
	}
	file = bytes.TrimPrefix(file, []byte("\ufeff"))
	if !utf8.Valid(file) || bytes.IndexByte(file, 0) >= 0 {
		return refuse(0, "il file non è testo in UTF-8: salvarlo come “CSV UTF-8” / the file is no text in UTF-8")
	}
	r := csv.NewReader(bytes.NewReader(file))
	r.Comma, r.FieldsPerRecord = separator(file), -1
	header, err := r.Read()
	if err != nil {
		return refuse(1, "il file è vuoto o la prima riga non si legge / the file is empty, or its first line cannot be read")
	}
	order, why := columnsOf(header)
	if why != "" {
		return refuse(1, why)
	}
	var rows []row
	var objections []directory.Objection
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, objections
		}
		if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
			return rows, append(objections, directory.Objection{Line: parse.StartLine, Text: "virgolette fuori posto, da qui il file non si legge / misplaced quotation marks: the file cannot be read from here on"})
		}
		line, _ := r.FieldPos(0)
		next, why := rowOf(record, order, line)
		switch {
		case why != "":
			objections = append(objections, directory.Objection{Line: line, Text: why})
		case next.cells != [columns]string{}:
			rows = append(rows, next)
		}
		if len(rows) > directory.MaxEnrolled {
			return refuse(line, "più di 5.000 righe: dividere il file / more than 5,000 lines: divide the file")
		}
	}
}

// separator is the sign that stands between the names of the columns.
func separator(file []byte) rune {
	first, _, _ := bytes.Cut(file, []byte("\n"))
	best, most := ';', 0
	for _, c := range ";,\t" {
		if n := bytes.Count(first, []byte(string(c))); n > most {
			best, most = c, n
		}
	}
	return best
}

// columnsOf says which columns the first line names, in order.
func columnsOf(header []string) (order []column, why string) {
	for _, name := range header {
		c, ok := columnOf(name)
		if !ok {
			return nil, "colonna sconosciuta: “" + short(name) + "”; le colonne sono indirizzo, tipologia, intestatario, utente, nome, permessi, posta_ordinaria / unknown column"
		}
		if slices.Contains(order, c) {
			return nil, "colonna ripetuta: " + short(name) + " / a column is named twice"
		}
		order = append(order, c)
	}
	if !slices.Contains(order, address) || !slices.Contains(order, tier) {
		return nil, "servono le colonne indirizzo e tipologia / the columns indirizzo and tipologia are needed"
	}
	return order, ""
}

// rowOf puts the cells of a line into the order of the columns.
func rowOf(record []string, order []column, line int) (r row, why string) {
	r.line = line
	for i, cell := range record {
		cell = strings.TrimSpace(cell)
		switch {
		case i < len(order):
			r.cells[order[i]] = cell
		case cell != "":
			return r, "la riga ha più celle della prima / the line has more cells than the first one"
		}
	}
	return r, ""
}

// grouping puts the lines of one mailbox together.
type grouping struct {
	tiers      []storage.Tier
	boxes      []directory.EnrolledMailbox
	byAddress  map[string]int
	objections []directory.Objection
}

func (g *grouping) object(line int, text string) {
	g.objections = append(g.objections, directory.Objection{Line: line, Text: text})
}

// add takes one line.
func (g *grouping) add(r row) {
	where, err := directory.CanonicalAddress(r.cells[address])
	if err != nil {
		g.object(r.line, fault.TextOf(err)+": “"+short(r.cells[address])+"”")
		return
	}
	code, ok := g.tierOf(r.cells[tier])
	if !ok {
		g.object(r.line, "tipologia di casella sconosciuta / unknown tier: “"+short(r.cells[tier])+"”")
		return
	}
	open, ok := yes(r.cells[ordinary])
	if !ok {
		g.object(r.line, "posta_ordinaria: sì o no / yes or no")
		return
	}
	at, there := g.byAddress[where]
	switch {
	case !there && code == "":
		g.object(r.line, "serve la tipologia / the tier is needed")
		return
	case !there:
		at = len(g.boxes)
		g.byAddress[where] = at
		g.boxes = append(g.boxes, directory.EnrolledMailbox{Line: r.line, Address: where, Tier: code, Holder: r.cells[holder], Ordinary: open})
	default:
		if b := g.boxes[at]; code != "" && code != b.Tier || r.cells[holder] != "" && r.cells[holder] != b.Holder || r.cells[ordinary] != "" && open != b.Ordinary {
			g.object(r.line, "tipologia, intestatario o posta ordinaria diversi dalla prima riga della casella / tier, holder or ordinary mail other than in the mailbox's first line")
			return
		}
	}
	g.user(r, &g.boxes[at])
}

// user adds the user of a line to its mailbox.
func (g *grouping) user(r row, b *directory.EnrolledMailbox) {
	u := directory.EnrolledUser{Line: r.line, Login: r.cells[login], Name: r.cells[person], Permission: storage.MayAll}
	if u.Login == "" {
		u.Login = b.Address
		if u.Name == "" {
			u.Name = b.Holder
		}
	}
	if s := r.cells[permission]; s != "" {
		var err error
		if u.Permission, err = directory.ParsePermissions(s); err != nil {
			g.object(r.line, fault.TextOf(err))
			return
		}
	}
	b.Users = append(b.Users, u)
}

// tierOf finds a tier by its code or its name; "" is none.
func (g *grouping) tierOf(s string) (code string, ok bool) {
	if s == "" {
		return "", true
	}
	for _, t := range g.tiers {
		if strings.EqualFold(s, t.Code) || strings.EqualFold(s, t.Name) {
			return t.Code, true
		}
	}
	return "", false
}

func yes(s string) (is, ok bool) {
	switch strings.ToLower(s) {
	case "", "sì", "si", "s", "yes", "aperta", "x", "1":
		return true, true
	case "no", "n", "chiusa", "0":
		return false, true
	}
	return false, false
}

// short is a cell as it is repeated in a refusal.
func short(s string) string {
	const most = 60
	r := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(r)
}
