// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"errors"
	"io"

	imaplib "github.com/emersion/go-imap/v2"
)

// ownHandler answers a command up to its tagged response. args is what follows
// the verb, with literals as they came. An *imaplib.Error becomes the tagged
// response, any other error ends the connection. A handler may leave a code for
// the tagged OK in session.code.
type ownHandler func(s *session, args []byte) error

// own returns the handler of a command that the library does not get to see:
// what it parses wrongly, answers inexactly or has no notion of. nil for all
// other commands.
func own(verb string) ownHandler {
	switch verb {
	case "CAPABILITY":
		return (*session).capability
	case "CREATE":
		return (*session).create
	case "DELETE":
		return (*session).delete
	case "RENAME":
		return (*session).rename
	case "SUBSCRIBE", "UNSUBSCRIBE":
		return (*session).subscribe
	case "LIST", "LSUB":
		return (*session).list
	case "NAMESPACE":
		return (*session).namespace
	case "STATUS":
		return (*session).status
	case "SELECT", "EXAMINE":
		return (*session).selectFolder
	case "UNSELECT":
		return (*session).unselect
	case "CLOSE":
		return (*session).closeFolder
	case "EXPUNGE":
		return (*session).expunge
	case "UID EXPUNGE":
		return (*session).expungeUIDs
	case "STORE", "UID STORE":
		return (*session).setFlags
	case "COPY", "UID COPY":
		return (*session).copyMessages
	case "MOVE", "UID MOVE":
		return (*session).move
	case "FETCH", "UID FETCH":
		return (*session).fetch
	case "SEARCH", "UID SEARCH":
		return (*session).search
	case "SORT", "UID SORT":
		return (*session).sort
	case "THREAD", "UID THREAD":
		return (*session).thread
	case "IDLE":
		return (*session).idle
	case "MYRIGHTS":
		return (*session).myRights
	case "GETACL":
		return (*session).getACL
	case "LISTRIGHTS":
		return (*session).listRights
	case "SETACL", "DELETEACL":
		return (*session).setACL
	case "GETQUOTA":
		return (*session).getQuota
	case "GETQUOTAROOT":
		return (*session).getQuotaRoot
	case "SETQUOTA":
		return (*session).setQuota
	}
	return nil
}

// ownCommand reads the rest of a command, runs it and answers.
func (c *conn) ownCommand(run ownHandler, rest []byte) error {
	args, err := c.assemble(rest)
	if args == nil || err != nil {
		return err
	}
	c.session.code = ""
	err = run(c.session, args)
	if err == nil && !opens(c.now.verb) {
		err = c.session.sync(expungeAllowed(c.now.verb))
	}
	var refused *imaplib.Error
	switch {
	case err == nil:
		return c.answer(completed(c.now.verb, c.session.code))
	case errors.As(err, &refused) && refused.Code != codeExpired: // that ends the connection as well
		return c.answer(statusLine(refused))
	}
	return err
}

// completed is the tagged response to a command that was carried out, with a
// response code, "" for none.
func completed(verb, code string) string {
	if code != "" {
		code = "[" + code + "] "
	}
	return "OK " + code + verb + " completed"
}

// opens tells whether a command opens a folder. What happens to the folder
// meanwhile is told with the next command: a client is still counting, and takes
// every VANISHED here for what it missed (RFC 7162 §3.2.5.2).
func opens(verb string) bool { return verb == "SELECT" || verb == "EXAMINE" }

// expungeAllowed tells whether EXPUNGE may be sent while a command is answered
// (RFC 9051 §7.5.1): not where the client may be using sequence numbers.
func expungeAllowed(verb string) bool {
	switch verb {
	case "FETCH", "STORE", "SEARCH", "SORT", "THREAD":
		return false
	}
	return true
}

// assemble reads a whole command with its literals. It returns nil without an
// error when the command was refused.
func (c *conn) assemble(rest []byte) ([]byte, error) {
	lit, _, ok := literalAt(rest)
	if !ok {
		return rest, nil
	}
	args := append([]byte(nil), rest...)
	for ; ok; lit, _, ok = literalAt(rest) {
		c.literals += lit.size
		if lit.size > maxLiteral || c.literals > maxLiterals {
			if lit.nonSync {
				return nil, errTooLong
			}
			return nil, c.answer("BAD [TOOBIG] dato troppo lungo / literal too large")
		}
		if !lit.nonSync {
			if err := c.put([]byte("+ Ready for literal data\r\n")); err != nil {
				return nil, err
			}
		}
		args = append(args, '\r', '\n')
		args = append(args, make([]byte, lit.size)...)
		c.ReadBy.Store(c.after(c.srv.timing.line))
		if _, err := io.ReadFull(c.in, args[len(args)-int(lit.size):]); err != nil {
			return nil, err
		}
		var err error
		if rest, err = c.piece(); err != nil {
			return nil, err
		}
		args = append(args, rest...)
	}
	return args, nil
}
