// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sessionSeeds are sequences of commands, one a line; «text» stands for a literal.
var sessionSeeds = []string{
	"SELECT INBOX\nFETCH 1:* (FLAGS UID BODYSTRUCTURE)\nSTORE 1 +FLAGS (\\Deleted k)\nEXPUNGE\nNOOP",
	"APPEND INBOX (\\Seen) «Subject: due\r\n\r\nx»\nSELECT «INBOX»\nSEARCH CHARSET UTF-8 TEXT «due»\nUID SEARCH RETURN (SAVE) ALL\nUID MOVE $ Cestino",
	"ENABLE QRESYNC\nSELECT INBOX (QRESYNC (1 1 1:* (1 1)))\nUID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\nSTORE 1 (UNCHANGEDSINCE 1) FLAGS.SILENT ()\nCLOSE",
	"ENABLE IMAP4rev2 UTF8=ACCEPT\nCREATE Citt\xc3\xa0\nRENAME Citt\xc3\xa0 a/b\nSUBSCRIBE a/b\nLIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% *) RETURN (STATUS (MESSAGES SIZE))\nDELETE a/b",
	"SELECT INBOX\nSORT (REVERSE DATE SUBJECT) UTF-8 ALL\nTHREAD REFERENCES UTF-8 ALL\nUID SORT RETURN (COUNT MIN) (SIZE) US-ASCII NOT SEEN\nFETCH 1 (PREVIEW BINARY[1] EMAILID)",
	"EXAMINE INBOX\nSTORE 1 FLAGS (\\Seen)\nCOPY 1 Bozze\nUNSELECT\nFETCH 1 FLAGS\nSTATUS INBOX (MESSAGES HIGHESTMODSEQ DELETED)",
	"GETQUOTAROOT INBOX\nMYRIGHTS INBOX\nGETACL INBOX\nNAMESPACE\nID (\"name\" «x»)\nCAPABILITY\nLSUB \"\" *",
	"SELECT INBOX\nUID EXPUNGE 1:*\nCHECK\nMOVE 1:* Cestino\nAPPEND Cestino \"03-Jun-2026 10:00:00 +0200\" ~«a\x01b»\nXYZZY\nSELECT &\nLOGIN a b",
}

// FuzzSession sends sequences of commands to a session that may do everything.
// Nothing may panic, and every command gets exactly one tagged answer, unless
// BYE came before.
func FuzzSession(f *testing.F) {
	for _, seed := range sessionSeeds {
		f.Add(seed)
	}
	fx := newFixture(f)
	f.Fuzz(func(t *testing.T, dialogue string) {
		commands := []string{ // what the input before has left goes
			fmt.Sprintf("LOGIN %s %q", testUser, testPassword), "SELECT INBOX", `UID STORE 1:* +FLAGS.SILENT (\Deleted)`, "CLOSE",
			fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(nested), nested),
		}
		for line := range strings.SplitSeq(dialogue, "\n") {
			if command, ok := complete(strings.TrimSuffix(line, "\r")); ok && len(commands) < 40 {
				commands = append(commands, command)
			}
		}
		commands = append(commands, "LOGOUT")

		conn, err := tls.Dial("tcp", fx.tls.Addr().String(), fx.client)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for i, command := range commands {
				if _, err := fmt.Fprintf(conn, "t%d %s\r\n", i, command); err != nil {
					return // after BYE
				}
			}
		}()
		answers, bye := answersOf(t, bufio.NewReader(conn))
		conn.Close()
		<-sent
		for i, command := range commands {
			if n := answers[fmt.Sprintf("t%d", i)]; n > 1 || n == 0 && !bye {
				t.Errorf("%d answers to %q", n, command)
			}
		}
		if logs := fx.logs.take(); strings.Contains(logs, "panic") || strings.Contains(logs, testPassword) {
			t.Fatal(logs)
		}
	})
}

// What is no command of its own, or makes the lines after it something else.
var partOfMore = regexp.MustCompile(`(?i)\{[0-9]+\+?\}$|^(IDLE|AUTHENTICATE|COMPRESS|STARTTLS|LOGOUT)\b`)

// complete makes a command of a line: with its literals, and nothing after it.
func complete(line string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "«")
		if partOfMore.MatchString(before) || strings.ContainsAny(before, "\r\n") {
			return "", false
		}
		b.WriteString(before)
		if !found {
			return b.String(), b.Len() > 0
		}
		text, after, closed := strings.Cut(rest, "»")
		if !closed {
			return "", false
		}
		fmt.Fprintf(&b, "{%d+}\r\n%s", len(text), text)
		line = after
	}
}

// answersOf reads to the end and counts the answers of each tag; bye tells
// whether the server ended the connection before it was asked to.
func answersOf(t *testing.T, r *bufio.Reader) (answers map[string]int, bye bool) {
	t.Helper()
	answers = map[string]int{}
	said := ""
	for {
		l, err := r.ReadString('\n')
		if err != nil {
			if strings.Contains(err.Error(), "timeout") {
				t.Fatalf("no answer for 20 s after %v", answers)
			}
			break
		}
		if m := literalEnd.FindStringSubmatch(l); m != nil {
			var n int
			fmt.Sscan(m[1], &n)
			if _, err := r.Discard(n); err != nil {
				break
			}
		}
		tag, _, _ := strings.Cut(l, " ")
		if strings.HasPrefix(tag, "t") {
			answers[tag]++
		}
		if strings.HasPrefix(l, "* BYE") {
			said = l
		}
	}
	return answers, said != "" && !strings.Contains(said, "Logging out")
}
