// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"pecd/fault"
	"pecd/storage"
)

// maxLine bounds a line of a day file, in octets: the longest record that
// ledger.Decode reads, in base64, fits.
const maxLine = 24 << 20

// line is one record as a day file has it.
type line struct {
	seq  int64
	hash Hash
	data []byte
}

// appendLine appends a record as one line of JSON with its line end:
//
//	{"seq":17,"hash":"<64 hex digits>","event":<the record's octets>}
//
// The octets stand there unchanged, so that the hash can be computed again from
// the line. Octets that are no JSON object of one line, which nothing here
// writes, stand as "octets":"<base64>" in the place of the event.
func appendLine(b []byte, r storage.Record) []byte {
	b = appendHead(b, r)
	if object(r.Data) {
		b = append(b, `","event":`...)
		b = append(b, r.Data...)
		return append(b, "}\n"...)
	}
	b = append(b, `","octets":"`...)
	b = base64.StdEncoding.AppendEncode(b, r.Data)
	return append(b, "\"}\n"...)
}

// appendPart appends a part of a record that an extract shows. Its hash is that
// of the whole record and cannot be computed from the line.
func appendPart(b []byte, r storage.Record, part []byte) []byte {
	b = appendHead(b, r)
	b = append(b, `","part":`...)
	b = append(b, part...)
	return append(b, "}\n"...)
}

func appendHead(b []byte, r storage.Record) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendInt(b, r.Seq, 10)
	b = append(b, `,"hash":"`...)
	return hex.AppendEncode(b, r.Hash[:])
}

// object reports whether data is one JSON object on one line and nothing else.
func object(data []byte) bool {
	return len(data) >= 2 && data[0] == '{' && data[len(data)-1] == '}' &&
		bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 && json.Valid(data)
}

var errLine = fault.Say("seal.read", fault.Invalid, "riga illeggibile / unreadable line")

// parseLine reads what appendLine wrote, without its line end. There is one
// spelling of each record: what another JSON writer would make of it is refused.
// The data are a part of b.
func parseLine(b []byte) (line, error) {
	rest, ok := bytes.CutPrefix(b, []byte(`{"seq":`))
	digits, rest, found := bytes.Cut(rest, []byte(`,"hash":"`))
	if !ok || !found || len(rest) < 64 {
		return line{}, errLine
	}
	var l line
	var err error
	if l.seq, err = strconv.ParseInt(string(digits), 10, 64); err != nil || l.seq < 1 || strconv.FormatInt(l.seq, 10) != string(digits) {
		return line{}, errLine
	}
	if err := l.hash.UnmarshalText(rest[:64]); err != nil {
		return line{}, errLine
	}
	rest = rest[64:]
	if data, ok := within(rest, `","event":`, `}`); ok && object(data) {
		l.data = data
		return l, nil
	}
	text, ok := within(rest, `","octets":"`, `"}`)
	if !ok {
		return line{}, errLine
	}
	l.data = make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(l.data, text)
	if err != nil || object(l.data[:n]) {
		return line{}, errLine
	}
	l.data = l.data[:n]
	return l, nil
}

// within returns what is between before and after.
func within(b []byte, before, after string) ([]byte, bool) {
	b, ok := bytes.CutPrefix(b, []byte(before))
	if !ok {
		return nil, false
	}
	return bytes.CutSuffix(b, []byte(after))
}

// Hash is a SHA-256 in JSON: 64 hexadecimal digits, lower case.
type Hash [32]byte

// MarshalText implements encoding.TextMarshaler.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || !bytes.Equal(bytes.ToLower(text), text) {
		return errors.New("not 64 hexadecimal digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// eachLine calls fn with every line of r, without its end. The octets are good
// until fn returns.
func eachLine(r io.Reader, fn func([]byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLine)
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if end := bytes.IndexByte(data, '\n'); end >= 0 {
			return end + 1, data[:end], nil
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errLine // cut off
		}
		return 0, nil, nil
	})
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	if errors.Is(sc.Err(), bufio.ErrTooLong) {
		return errLine
	}
	return sc.Err()
}
