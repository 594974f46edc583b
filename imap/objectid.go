// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"strconv"
	"strings"

	"pecd/storage"
)

// Identifiers of RFC 8474. Those of bodies and folders are never given out again,
// and a copy of a message shares its body. Which messages belong together nobody
// knows of ordinary mail, so THREADID is NIL.

// emailID is the EMAILID of the messages that have a body.
func emailID(id storage.BodyID) string { return "M" + strconv.FormatInt(int64(id), 10) }

// mailboxID is the MAILBOXID of a folder. It stays when the folder is renamed.
func mailboxID(id storage.FolderID) string { return "F" + strconv.FormatInt(int64(id), 10) }

// objectID reads an objectid.
func (p *parser) objectID() string {
	const longest = 255
	id := p.astring()
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}
	if id == "" || len(id) > longest || strings.ContainsFunc(id, other) {
		p.fail()
	}
	return id
}
