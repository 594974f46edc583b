// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"net"
	"strings"
	"testing"
	"time"

	"pecd/rfc822"
	"pecd/storage"
)

// FuzzParse feeds the parsers of the commands the filter keeps.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		" 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (From \"To\")]<0.10>)", " $ ALL", " 1,2:3,* BODY[1.2.MIME]", " 1 BINARY.SIZE[1]",
		" RETURN (MIN MAX SAVE) OR TEXT {3}\r\nabc NOT (SEEN UID 1:5)", " CHARSET UTF-8 SINCE 1-Jan-2020 KEYWORD x", " 1 (", " (((((", " NOT NOT NOT SEEN",
		" 1:* (FLAGS) (CHANGEDSINCE 7 VANISHED)", " MODSEQ \"/flags/\\\\draft\" all 620162338", " INBOX (CONDSTORE QRESYNC (1 1 1:9 (1,3 2,9)))",
		" 1:3 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\Seen k)", " (SUBSCRIBED RECURSIVEMATCH) \"\" (a% *) RETURN (STATUS (UIDNEXT HIGHESTMODSEQ))", " a&AOA- (MESSAGES)",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		if q, ok := parseFetch(args, true); ok {
			for _, it := range q.items {
				if it.name == "" || len(it.part) > maxPath {
					t.Errorf("%+v", it)
				}
			}
		}
		if q, _, ok := parseSearch(args); ok {
			s := &session{view: newView(storage.Folder{}, true)}
			p := preparer{v: s.view}
			if hits, err := s.find(p.prepare(q.key), p.needles); err != nil || len(hits) > 0 {
				t.Error(hits, err)
			}
		}
		if q, ok := parseSelect(args, false); ok && q.resync != nil {
			v := newView(storage.Folder{UIDNext: 1000}, true)
			for uid := uint32(1); uid < 100; uid += 3 {
				v.add(uid, nil)
			}
			for _, r := range v.absent(q.resync.known.within(v.last(), v.end()-1), v.agreed(q.resync)) {
				if i, there := v.index(r.from); there || r.from > r.to || r.to >= v.end() || i < len(v.uids) && v.uids[i] <= r.to {
					t.Errorf("%q: %v of %v", args, r, v.uids)
				}
			}
		}
		parseStore(args, true)
		_, _ = parseList(args, false, false)
	})
}

// FuzzStructure writes the structure of any message: the result must be one
// balanced list of the IMAP grammar, and every section must lie in the message.
func FuzzStructure(f *testing.F) {
	f.Add([]byte(nested))
	for _, m := range hostileMessages() {
		if len(m) < 4096 {
			f.Add([]byte(m))
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		sc := rfc822.NewScanner(rfc822.DefaultLimits())
		_, _ = sc.Write(message)
		tree := sc.Finish()
		for _, w := range []bodyWriter{{}, {extended: true}, {extended: true, utf8: true}} {
			w.part(tree.Root)
			balanced(t, w.b)
		}
		balanced(t, appendEnvelope(nil, tree.Root.Header, false))
		h, err := readHead(memoryBody(message))
		if err != nil || h.end > int64(len(message)) || !bytes.HasPrefix(message, h.raw) {
			t.Fatalf("head %d of %d: %v", h.end, len(message), err)
		}
		for _, spec := range []specifier{specAll, specHeader, specFields, specFieldsNot, specText, specMIME} {
			for _, path := range [][]int{{1}, {1, 1}, {2}, {2, 1, 1}} {
				for _, e := range sectionOf(tree.Root, &fetchItem{part: path, spec: spec, fields: []string{"subject"}}) {
					if e.off < 0 || e.n < 0 || e.off+e.n > int64(len(message)) {
						t.Fatalf("%v %v: %+v of %d", path, spec, e, len(message))
					}
				}
			}
		}
		tree.Root.Walk(func(p *rfc822.Part) bool {
			if r, ok := decodedBody(memoryBody(message), p); ok {
				n, err := io.Copy(io.Discard, r)
				if err != nil || n > p.End-p.BodyOffset {
					t.Fatalf("%d octets decoded of %d: %v", n, p.End-p.BodyOffset, err)
				}
			}
			return true
		})
	})
}

// balanced checks that b is one parenthesized list with well-formed strings.
func balanced(t *testing.T, b []byte) {
	t.Helper()
	depth := 0
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 && i != len(b)-1 {
				t.Fatalf("more after the list: %q", b)
			}
		case '"':
			for i++; ; i++ {
				if i >= len(b) || b[i] == '\r' || b[i] == '\n' || b[i] == 0 {
					t.Fatalf("broken string: %q", b)
				}
				if b[i] == '\\' {
					i++
				} else if b[i] == '"' {
					break
				}
			}
		case '{':
			end := bytes.IndexByte(b[i:], '\n')
			lit, _, ok := literalAt(bytes.TrimSuffix(b[i:i+end], []byte("\r")))
			if end < 0 || !ok || bytes.IndexByte(b[i+end+1:i+end+1+int(lit.size)], 0) >= 0 {
				t.Fatalf("broken literal: %q", b)
			}
			i += end + int(lit.size)
		default:
			if c <= ' ' && c != ' ' || c >= 0x7f {
				t.Fatalf("stray octet %q in %q", c, b)
			}
		}
		i++
	}
	if depth != 0 {
		t.Fatalf("unbalanced: %q", b)
	}
}

// memoryBody is a storage.Body over octets.
type memoryBody []byte

func (m memoryBody) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}
func (m memoryBody) Close() error                         { return nil }
func (m memoryBody) Size() int64                          { return int64(len(m)) }
func (m memoryBody) Blob() (storage.BlobID, int64, int64) { return 0, 0, 0 }
func (m memoryBody) Intact() error                        { return nil }

// FuzzDialogue sends anything to a session that may only read. Nothing may
// panic, and the connection must come to its end.
func FuzzDialogue(f *testing.F) {
	for _, seed := range []string{
		"a FETCH 1:* (FLAGS BODY[])\r\nb UID SEARCH TEXT uno\r\n", "a APPEND INBOX {10+}\r\nb NOOP\r\n\r\nc NOOP\r\n", "a IDLE\r\nDONE\r\n",
		"a LIST (SUBSCRIBED) \"\" (% *) RETURN (STATUS (MESSAGES))\r\n", "a SELECT {5+}\r\nINBOX (CONDSTORE)\r\n", "a STORE 1 +FLAGS ({3+}\r\nabc)\r\n",
		"a AUTHENTICATE PLAIN\r\n*\r\n", "a ID (\"name\" {2+}\r\nxy)\r\nb ENABLE UTF8=ACCEPT\r\nc STATUS INBOX (SIZE)\r\n", "a UID\r\n", "\"", "a {3}\r\n", "a ENABLE QRESYNC\r\nb SELECT INBOX (QRESYNC (1 1 1:* (1 1)))\r\nc UID FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)\r\n", "a ENABLE {5+}\r\nabcde\r\nb NOOP\r\n", "a SORT (DATE) UTF-8 ALL\r\n",
	} {
		f.Add([]byte(seed))
	}
	fx := newFixture(f)
	fx.grant("lettore", storage.MayRead|storage.MayUseClient, fx.mailbox, testUser)
	fx.deliver("INBOX", message("uno"))
	fx.deliver("INBOX", nested)
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, err := tls.Dial("tcp", fx.tls.Addr().String(), fx.client)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			_, _ = conn.Write([]byte("l LOGIN lettore \"" + testPassword + "\"\r\ns SELECT INBOX\r\n"))
			_, _ = conn.Write(data)
			_ = conn.CloseWrite()
		}()
		if _, err := io.Copy(io.Discard, conn); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Fatal("the connection does not end")
			}
		}
		if strings.Contains(fx.logs.String(), "panic") {
			t.Fatal(fx.logs)
		}
	})
}

func TestDecodedBody(t *testing.T) {
	text := strings.Repeat("Perché no? = \t fine riga   \r\n", 300)
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	var lines, quoted strings.Builder
	for i := 0; i < len(encoded); i += 76 {
		lines.WriteString(encoded[i:min(i+76, len(encoded))] + "\r\n")
	}
	w := quotedprintable.NewWriter(&quoted)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	cases := []struct{ encoding, raw, want string }{
		{"base64", lines.String(), text},
		{"base64", encoded, text},
		{"base64", "QUJD\r\n!!-- \r\nREVG", "ABCDEF"},
		{"base64", "QUJDR", "ABC"},
		{"base64", "QQ==QUJD", "A"},
		{"quoted-printable", quoted.String(), text},
		{"quoted-printable", "a=3D=3d=\r\nb=\nc= \t\r\nd", "a==bcd"},
		{"quoted-printable", "=ZZ =4 =", "=ZZ =4 "},
		{"8bit", text, text},
	}
	for _, c := range cases {
		p := &rfc822.Part{End: int64(len(c.raw)), Encoding: c.encoding}
		r, ok := decodedBody(memoryBody(c.raw), p)
		if !ok {
			t.Fatal(c.encoding)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != c.want {
			t.Errorf("%s %.30q: got %.60q, want %.60q, %v", c.encoding, c.raw, got, c.want, err)
		}
	}
	if _, ok := decodedBody(memoryBody(""), &rfc822.Part{Encoding: "x-gzip"}); ok {
		t.Error("unknown encoding")
	}
}
