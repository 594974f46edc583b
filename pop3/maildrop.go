// SPDX-License-Identifier: EUPL-1.2

package pop3

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"pecd/storage"
)

// maildrop is the INBOX as it was at the login. Messages are numbered from 1; the
// slices begin with number 1.
type maildrop struct {
	folder   storage.Folder
	box      storage.Mailbox
	uids     []uint32
	sizes    []int64
	bodies   []storage.BodyID
	imported map[uint32]string // UID: the identifier a message came with

	marked []bool // by DELE; nil: none
	marks  int
	octets int64 // of those that are not marked
}

// openMaildrop reads the INBOX of a mailbox.
func openMaildrop(ctx context.Context, st storage.Store, m storage.Mailbox) (*maildrop, error) {
	f, err := st.Folder(ctx, m.ID, "INBOX")
	if err != nil {
		return nil, err
	}
	d := &maildrop{
		folder: f, box: m,
		uids: make([]uint32, 0, f.Messages), sizes: make([]int64, 0, f.Messages), bodies: make([]storage.BodyID, 0, f.Messages),
	}
	err = st.Messages(ctx, f.ID, 0, 0, func(m storage.Message) error {
		d.uids, d.sizes, d.bodies = append(d.uids, m.UID), append(d.sizes, m.Size), append(d.bodies, m.Body)
		d.octets += m.Size
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, d.learn(ctx, st)
}

// learn reads the identifiers that messages were imported with. One that another
// message has, or would be given, is passed over: a client takes two messages
// with one identifier for the same, and fetches one of them only.
func (d *maildrop) learn(ctx context.Context, st storage.Store) error {
	validity := fmt.Sprintf("%08x", d.folder.UIDValidity)
	used := make(map[string]bool)
	return st.UIDLs(ctx, d.folder.ID, func(uid uint32, uidl string) error {
		if used[uidl] || len(uidl) == 16 && strings.HasSuffix(uidl, validity) {
			return nil
		}
		used[uidl] = true
		if d.imported == nil {
			d.imported = make(map[uint32]string)
		}
		d.imported[uid] = uidl
		return nil
	})
}

// id is the unique-id of message i (from 0): the one it was imported with, or its
// UID and the folder's UIDVALIDITY as Dovecot writes them. Both are kept by a
// migration from there, so that clients know the messages again.
func (d *maildrop) id(i int) string {
	if id, ok := d.imported[d.uids[i]]; ok {
		return id
	}
	return fmt.Sprintf("%08x%08x", d.uids[i], d.folder.UIDValidity)
}

func (d *maildrop) isMarked(i int) bool { return d.marked != nil && d.marked[i] }

func (d *maildrop) mark(i int) {
	if d.marked == nil {
		d.marked = make([]bool, len(d.uids))
	}
	d.marked[i] = true
	d.marks++
	d.octets -= d.sizes[i]
}

func (d *maildrop) unmarkAll() {
	for i := range d.marked {
		if d.marked[i] {
			d.octets += d.sizes[i]
		}
	}
	d.marked, d.marks = nil, 0
}

// markedUIDs are those of the marked messages, ascending.
func (d *maildrop) markedUIDs() []uint32 {
	uids := make([]uint32, 0, d.marks)
	for i, uid := range d.uids {
		if d.isMarked(i) {
			uids = append(uids, uid)
		}
	}
	return uids
}

// message reads a message number and returns the index of a message that is not
// marked. Otherwise the client is told, and ok is false.
func (s *session) message(arg string) (i int, ok bool, err error) {
	n, good := number(arg)
	if !good {
		return 0, false, s.mistake("numero di messaggio non valido / malformed message number")
	}
	if n == 0 || n > len(s.drop.uids) || s.drop.isMarked(n-1) {
		return 0, false, s.refuse("messaggio inesistente / no such message")
	}
	return n - 1, true, nil
}

// number reads a decimal number of at most nine digits.
func number(arg string) (int, bool) {
	if arg == "" || len(arg) > 9 {
		return 0, false
	}
	for i := range len(arg) {
		if arg[i] < '0' || arg[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(arg)
	return n, err == nil
}

// stat is STAT. Sizes are those of the messages as they are stored.
func (s *session) stat(string) error {
	return s.text(fmt.Sprintf("+OK %d %d\r\n", len(s.drop.uids)-s.drop.marks, s.drop.octets))
}

// list is LIST.
func (s *session) list(args string) error {
	return s.listing(args, func(b []byte, i int) []byte { return strconv.AppendInt(b, s.drop.sizes[i], 10) })
}

// uidl is UIDL.
func (s *session) uidl(args string) error {
	return s.listing(args, func(b []byte, i int) []byte { return append(b, s.drop.id(i)...) })
}

// listing answers for one message, or for all that are not marked, with number and
// value.
func (s *session) listing(args string, value func(b []byte, i int) []byte) error {
	line := func(i int) []byte {
		b := strconv.AppendInt(make([]byte, 0, 96), int64(i)+1, 10)
		return append(value(append(b, ' '), i), '\r', '\n')
	}
	if args = strings.TrimSpace(args); args != "" {
		i, ok, err := s.message(args)
		if !ok {
			return err
		}
		return s.put(append([]byte("+OK "), line(i)...))
	}
	if err := s.text(fmt.Sprintf("+OK %d messaggi / messages (%d)\r\n", len(s.drop.uids)-s.drop.marks, s.drop.octets)); err != nil {
		return err
	}
	for i := range s.drop.uids {
		if s.drop.isMarked(i) {
			continue
		}
		if err := s.put(line(i)); err != nil {
			return err
		}
	}
	return s.text(".\r\n")
}
