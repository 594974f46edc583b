// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"pecd/fault"
)

const (
	maxReplyLine  = 2048 // octets; RFC 5321 §4.5.3.1.5 asks for 512
	maxReplyLines = 100
	maxReplyKept  = 500 // octets of text that go into logs and notices
)

var (
	errReplySyntax = errors.New("not an SMTP reply")
	errReplySize   = errors.New("SMTP reply too long")
)

// reply is what another server said, made safe for logs and notices.
type reply struct {
	code     int
	enhanced [3]int // zero: none
	lines    []string
}

// readReply reads one reply, however many lines it has within the bounds.
func readReply(br *bufio.Reader) (reply, error) {
	var r reply
	for len(r.lines) < maxReplyLines {
		line, err := readReplyLine(br)
		if err != nil {
			return reply{}, err
		}
		code, more, text, ok := splitReply(line)
		if !ok || r.code != 0 && code != r.code {
			return reply{}, errReplySyntax
		}
		r.code = code
		if e, rest, ok := splitEnhanced(text); ok && e[0] == code/100 {
			r.enhanced, text = e, rest
		}
		r.lines = append(r.lines, text)
		if !more {
			return r, nil
		}
	}
	return reply{}, errReplySize
}

func readReplyLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull) || err == nil && len(line) > maxReplyLine:
		return "", errReplySize
	case err != nil:
		return "", err
	}
	return cleanReply(strings.TrimRight(string(line), "\r\n")), nil
}

func splitReply(line string) (code int, more bool, text string, ok bool) {
	if len(line) < 3 {
		return 0, false, "", false
	}
	for _, d := range []byte(line[:3]) {
		if d < '0' || d > '9' {
			return 0, false, "", false
		}
	}
	code = int(decimal(line[:3]))
	if code < 200 || code > 599 {
		return 0, false, "", false
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', strings.TrimSpace(line[4:]), true
}

// cleanReply replaces everything but printable ASCII: the text of a stranger
// ends up on terminals, in logs and in signed notices.
func cleanReply(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= ' ' && r <= '~':
			return r
		case r == '\t':
			return ' '
		}
		return '?'
	}, s)
}

// String returns the reply in one line.
func (r reply) String() string {
	s := fmt.Sprint(r.code)
	if r.enhanced[0] != 0 {
		s += fmt.Sprintf(" %d.%d.%d", r.enhanced[0], r.enhanced[1], r.enhanced[2])
	}
	if text := strings.TrimSpace(strings.Join(r.lines, " ")); text != "" {
		s += " " + text
	}
	return s[:min(len(s), maxReplyKept)]
}

func (r reply) ok() bool { return r.code/100 == 2 }

// tooMany reports whether the server wants the rest of the recipients in
// another transaction (RFC 5321 §4.5.3.1.10, which knows 552 for it as well).
func (r reply) tooMany() bool {
	return (r.code == 452 || r.code == 552) && r.enhanced[1] == 5 && r.enhanced[2] == 3 ||
		r.code == 452 && r.enhanced[0] == 0
}

// kind classes a refusal. atRcpt: it answers one RCPT, where a bare 550 speaks
// of the mailbox.
func (r reply) kind(atRcpt bool) fault.Kind {
	if r.code/100 != 5 {
		return fault.Temporary
	}
	switch subject, detail := r.enhanced[1], r.enhanced[2]; {
	case r.enhanced[0] == 0:
		return r.bareKind(atRcpt)
	case subject == 1 && (detail == 7 || detail == 8):
		return fault.Denied // our sender's address, not the recipient's
	case subject == 1:
		return fault.NotFound
	case subject == 2 && detail == 1:
		return fault.Disabled
	case subject == 2 && detail == 2:
		return fault.Quota
	case subject == 2 && detail == 3, subject == 3 && detail == 4:
		return fault.TooLarge
	case subject == 6 && detail == 3:
		return fault.Unsupported
	case subject == 5 || subject == 6:
		return fault.Invalid
	}
	if r.code == 552 {
		return fault.TooLarge
	}
	return fault.Denied
}

// bareKind classes a refusal without enhanced status code (RFC 5321 §4.2.3).
func (r reply) bareKind(atRcpt bool) fault.Kind {
	switch {
	case r.code == 552:
		return fault.TooLarge
	case atRcpt && (r.code == 550 || r.code == 551 || r.code == 553):
		return fault.NotFound
	case r.code <= 504 || r.code == 555:
		return fault.Invalid
	}
	return fault.Denied
}
