// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// arriving is a source from which octets come piece by piece. Where there is none
// it fails, which a reader must survive.
type arriving struct{ pieces [][]byte }

var errWait = errors.New("nothing yet")

func (a *arriving) Read(p []byte) (int, error) {
	if len(a.pieces) == 0 {
		return 0, io.EOF
	}
	if len(a.pieces[0]) == 0 {
		a.pieces = a.pieces[1:]
		return 0, errWait
	}
	n := copy(p, a.pieces[0])
	a.pieces[0] = a.pieces[0][n:]
	return n, nil
}

// samples are what is compressed: commands, noise, long runs, far references.
func samples(rng *rand.Rand) [][]byte {
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	out := [][]byte{nil, []byte("a"), noise, noise[:40_000], bytes.Repeat([]byte("ab"), 50_000), bytes.Repeat(noise[:30_000], 3)}
	for i := range 30 {
		out = append(out, []byte(strings.Repeat("c7 UID FETCH 1:* (FLAGS BODY.PEEK[HEADER])\r\n", i)), noise[rng.IntN(100):100+rng.IntN(30_000)])
	}
	return out
}

// Everything that was sent can be read when it has come, whatever the pieces.
func TestInflate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		var stream bytes.Buffer
		out, err := flate.NewWriter(&stream, level)
		if err != nil {
			t.Fatal(err)
		}
		source := &arriving{}
		f := newInflater(bufio.NewReaderSize(source, 64))
		for _, text := range samples(rng) {
			_, _ = out.Write(text)
			_ = out.Flush()
			for b := stream.Next(1 << 20); len(b) > 0; {
				n := min(len(b), 1+rng.IntN(3000))
				source.pieces = append(source.pieces, bytes.Clone(b[:n]), nil)
				b = b[n:]
			}
			got := make([]byte, 0, len(text))
			for len(got) < len(text) {
				n, err := f.Read(got[len(got):min(len(text), len(got)+1+rng.IntN(9000))])
				if err != nil && err != errWait {
					t.Fatalf("level %d: after %d of %d octets: %v", level, len(got), len(text), err)
				}
				got = got[:len(got)+n]
			}
			if !bytes.Equal(got, text) {
				t.Fatalf("level %d: %d octets came out wrong", level, len(text))
			}
			if cap(f.hist) > 2*window {
				t.Fatalf("%d octets are kept", cap(f.hist))
			}
		}
		_ = out.Close()
		source.pieces = append(source.pieces, stream.Bytes())
		for _, err = f.Read(make([]byte, 1)); err == errWait; _, err = f.Read(make([]byte, 1)) {
		}
		if err != io.EOF {
			t.Errorf("level %d: at the end: %v", level, err)
		}
	}
}

func TestInflateCorrupt(t *testing.T) {
	for name, sent := range map[string]string{
		"block of type 3":        "\x06",
		"length of a stored one": "\x00\x05\x00\x00\x00",
		"reference before begin": "\x03\x02\x00\x00",
		"too many literals":      "\xfd\xff\xff\xff\xff\xff",
		"too many codes":         "\x04\x00\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		if _, err := io.ReadAll(newInflater(bufio.NewReader(strings.NewReader(sent)))); err != errCorrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzInflate compares with the standard library.
func FuzzInflate(f *testing.F) {
	for _, text := range samples(rand.New(rand.NewPCG(5, 6))) {
		var stream bytes.Buffer
		out, _ := flate.NewWriter(&stream, 6)
		_, _ = out.Write(text[:min(len(text), 3000)])
		_ = out.Close()
		f.Add(stream.Bytes())
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		const most = 1 << 20
		want, std := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(stream)), most))
		got, err := io.ReadAll(io.LimitReader(newInflater(bufio.NewReader(bytes.NewReader(stream))), most))
		if std == nil && (err != nil || !bytes.Equal(got, want)) {
			t.Fatalf("%d octets, %v; the standard library: %d", len(got), err, len(want))
		}
	})
}
