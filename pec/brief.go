// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"crypto/sha1" //nolint:gosec // RFC 6109 §3.3.2.2 and production use SHA-1
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"pecd/rfc822"
)

// Brief writes original as it goes into a brief delivery receipt (RFC 6109
// §3.3.2.2, pec-rules §2.5): every part that has a file name, and every attached
// message, is replaced by a text file that holds the SHA-1 of its body as 40
// hexadecimal digits, taken over the encoded octets as transmitted
// (BodyOffset to End of the part). All other octets stay as they are.
//
// m is the scan of original. Of a multipart/signed message only the first part
// is gone through; a message that is an encrypted or opaque-signed whole
// (application/pkcs7-mime), that has nothing to replace, or of which a limit has
// hidden something is written unchanged: then rewritten is false, and the brief
// receipt is the complete one. Errors are those of reading and writing.
//
// Memory stays constant however large the message is.
func Brief(w io.Writer, original io.ReaderAt, m *rfc822.Message) (rewritten bool, err error) {
	b := briefWriter{w: w, original: original, size: m.Size, buffer: make([]byte, 64<<10)}
	parts := briefParts(m)
	for _, p := range parts {
		if err := b.replace(p, p == m.Root); err != nil {
			return true, err
		}
	}
	return len(parts) > 0, b.copyTo(w, m.Size)
}

// briefParts returns the parts to replace, in the order of their offsets.
func briefParts(m *rfc822.Message) []*rfc822.Part {
	for _, d := range m.Defects {
		if d.Kind.IsLimit() {
			return nil
		}
	}
	root := m.Root
	switch root.MediaType {
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return nil
	case "multipart/signed":
		if len(root.Children) == 0 {
			return nil
		}
		root = root.Children[0]
	}
	var parts []*rfc822.Part
	root.Walk(func(p *rfc822.Part) bool {
		if p.IsMultipart() {
			return true // the structure stays, whatever the name of a container
		}
		if _, named := p.Name(); named || p.IsMessage() {
			parts = append(parts, p)
		}
		return false
	})
	return parts
}

type briefWriter struct {
	w        io.Writer
	original io.ReaderAt
	size     int64
	pos      int64 // octets of the original dealt with
	buffer   []byte
}

// copyTo hands the original from the current position up to end to w.
func (b *briefWriter) copyTo(w io.Writer, end int64) error {
	r := io.NewSectionReader(b.original, b.pos, end-b.pos)
	// Hidden behind plain interfaces, lest a ReaderFrom takes another buffer.
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, b.buffer)
	if err != nil {
		return fmt.Errorf("pec: brief receipt: %w", err)
	}
	if n != end-b.pos {
		return fmt.Errorf("pec: brief receipt: %w", io.ErrUnexpectedEOF)
	}
	b.pos = end
	return nil
}

// replace writes what comes before p, then the hash in place of p.
func (b *briefWriter) replace(p *rfc822.Part, root bool) error {
	if err := b.copyTo(b.w, p.Offset); err != nil {
		return err
	}
	b.pos = p.BodyOffset
	sum := sha1.New() //nolint:gosec // see above
	if err := b.copyTo(sum, p.End); err != nil {
		return err
	}
	text := append(hashHeader(p), hex.EncodeToString(sum.Sum(nil))...)
	lineEnd := root
	if !root && p.End < b.size {
		// The line end before a boundary is not the part's, unless the part was
		// a header alone: then it went with it.
		var next [1]byte
		if _, err := b.original.ReadAt(next[:], p.End); err != nil && err != io.EOF {
			return fmt.Errorf("pec: brief receipt: %w", err)
		}
		lineEnd = next[0] != '\r' && next[0] != '\n'
	}
	if lineEnd {
		text = append(text, "\r\n"...)
	}
	if _, err := b.w.Write(text); err != nil {
		return fmt.Errorf("pec: brief receipt: %w", err)
	}
	return nil
}

// hashHeader returns the header of p, with its blank line, as that of a hash
// file: the fields that describe the body replaced, all others as they are.
func hashHeader(p *rfc822.Part) []byte {
	name := hashName(p)
	replaced := []struct{ name, field string }{
		{"Content-Type", "Content-Type: text/plain; charset=us-ascii" + fileParam("name", name) + "\r\n"},
		{"Content-Transfer-Encoding", "Content-Transfer-Encoding: 7bit\r\n"},
		{"Content-Disposition", "Content-Disposition: attachment" + fileParam("filename", name) + "\r\n"},
		{"Content-MD5", ""}, // of the body that is gone
		{"Content-Length", ""},
	}
	var out []byte
	for _, f := range p.Header.Fields() {
		kept := true
		for i := range replaced {
			if strings.EqualFold(f.Name, replaced[i].name) {
				out = append(out, replaced[i].field...)
				replaced[i].field = ""
				kept = false
			}
		}
		if !kept {
			continue
		}
		out = append(out, f.Raw...)
		if n := len(f.Raw); f.Raw[n-1] != '\n' {
			out = append(out, "\r\n"...)
		}
	}
	for _, r := range replaced {
		out = append(out, r.field...)
	}
	return append(out, "\r\n"...)
}

// maxHashName is how many characters of an attachment's name are kept.
const maxHashName = 200

// hashName returns the name of the hash file for p.
func hashName(p *rfc822.Part) string {
	name := cleanLine(p.FileName(), maxHashName)
	switch {
	case name != "":
	case p.IsMessage():
		name = "messaggio.eml"
	default:
		name = "allegato"
	}
	return name + ".hash"
}

// fileParam returns `; key="name"` on a line of its own, in the form of RFC 2231
// where the name is not plain ASCII.
func fileParam(key, name string) string {
	plain := true
	for i := 0; i < len(name); i++ {
		if name[i] < ' ' || name[i] > '~' || name[i] == '"' || name[i] == '\\' || name[i] == '=' {
			plain = false // "=" lest it is taken for an encoded word
			break
		}
	}
	if plain {
		return ";\r\n\t" + key + `="` + name + `"`
	}
	const columns = 60
	var out, section strings.Builder
	section.WriteString("UTF-8''")
	n := 0
	flush := func() {
		fmt.Fprintf(&out, ";\r\n\t%s*%d*=%s", key, n, section.String())
		section.Reset()
		n++
	}
	for i := 0; i < len(name); i++ {
		if section.Len() > columns {
			flush()
		}
		if c := name[i]; c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_' {
			section.WriteByte(c)
		} else {
			fmt.Fprintf(&section, "%%%02X", c)
		}
	}
	if n == 0 {
		return ";\r\n\t" + key + "*=" + section.String()
	}
	flush()
	return out.String()
}
