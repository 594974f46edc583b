// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"strconv"
	"strings"

	imaplib "github.com/emersion/go-imap/v2"
)

// libraryCapabilities is what the library is told to offer. What clients are
// told is ours (capabilities): the library offers what it infers, and knows
// nothing of the commands that the filter keeps.
func libraryCapabilities() imaplib.CapSet { return imaplib.CapSet{imaplib.CapIMAP4rev1: {}} }

// GetCapabilities implements imapserver.SessionCapabilities. Being asked keeps
// the library from inferring more.
func (s *session) GetCapabilities() imaplib.CapSet { return libraryCapabilities() }

// capabilities lists what the client may use (RFC 9051 §7.2.2): before the
// login, which is always under TLS, or after it.
func (s *session) capabilities() []string {
	caps := []string{"IMAP4rev1", "IMAP4rev2", "SASL-IR", "LITERAL-", "ID", "ENABLE"}
	if !s.open() {
		for _, mechanism := range s.AuthenticateMechanisms() {
			caps = append(caps, "AUTH="+mechanism)
		}
		return caps
	}
	if !s.c.inflating {
		caps = append(caps, "COMPRESS=DEFLATE")
	}
	return append(caps,
		"IDLE", "NAMESPACE", "UIDPLUS", "MOVE", "UNSELECT", "UTF8=ACCEPT", "CHILDREN",
		"LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "STATUS=SIZE",
		"ACL", aclCapability, "QUOTA", "QUOTA=RES-STORAGE",
		"ESEARCH", "SEARCHRES", "BINARY", "CONDSTORE", "QRESYNC",
		"SORT", "SORT=DISPLAY", "ESORT", "THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "I18NLEVEL=1",
		"WITHIN", "PARTIAL", "PREVIEW", "SAVEDATE", "OBJECTID",
		"APPENDLIMIT="+strconv.FormatUint(uint64(s.AppendLimit()), 10),
	)
}

// capability answers CAPABILITY.
func (s *session) capability(args []byte) error {
	if len(args) > 0 {
		return bad("argomenti inattesi / unexpected arguments")
	}
	return s.c.put([]byte("* CAPABILITY " + strings.Join(s.capabilities(), " ") + "\r\n"))
}

// withCapabilities puts our capabilities in the place of the library's, which it
// tells in its greeting and after a login.
func (c *conn) withCapabilities(p []byte) []byte {
	tag := c.now.tag
	if tag == "" {
		tag = "*"
	}
	begin := []byte(tag + " OK [CAPABILITY ")
	if c.session == nil || !bytes.HasPrefix(p, begin) {
		return p
	}
	_, text, _ := bytes.Cut(p, []byte("]"))
	out := append(begin, strings.Join(c.session.capabilities(), " ")...)
	return append(append(out, ']'), text...)
}
