// SPDX-License-Identifier: EUPL-1.2

package clamdtest

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"testing"
)

// File is an attachment, or a member of an archive.
type File struct {
	Name    string
	Content []byte
}

// Message returns a message with a text and attachments in base64.
func Message(text string, attached ...File) []byte {
	var b bytes.Buffer
	boundary := "=_" + rand.Text()
	fmt.Fprintf(&b, "From: a@x.example\r\nTo: b@x.example\r\nSubject: prova\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%[1]s\r\nContent-Type: text/plain\r\n\r\n%s\r\n", boundary, text)
	for _, f := range attached {
		fmt.Fprintf(&b, "--%s\r\nContent-Type: application/octet-stream; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n"+
			"Content-Disposition: attachment; filename=\"%[2]s\"\r\n\r\n", boundary, f.Name)
		for in := f.Content; len(in) > 0; {
			n := min(len(in), 57)
			b.WriteString(base64.StdEncoding.EncodeToString(in[:n]) + "\r\n")
			in = in[n:]
		}
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

// Nested returns message enclosed depth times, each time as the body of a
// message of type message/rfc822.
func Nested(depth int, message []byte) []byte {
	const around = "From: a@x.example\r\nSubject: inoltro\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n"
	return append(bytes.Repeat([]byte(around), depth), message...)
}

// Zip returns an archive of files.
func Zip(t testing.TB, files ...File) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		m, err := w.Create(f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write(f.Content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Bomb returns an archive inside an archive, more often than any clamd looks.
// No two are equal: clamd remembers what it has found clean.
func Bomb(t testing.TB) []byte {
	t.Helper()
	b := []byte("bomba " + rand.Text())
	for range 110 {
		b = Zip(t, File{Name: "a.zip", Content: b})
	}
	return b
}

// EncryptedZip returns an archive of one file, encrypted with a password the
// traditional way (APPNOTE.TXT §6.1). It is no secret to anybody who wants it.
func EncryptedZip(t testing.TB, password string, f File) []byte {
	t.Helper()
	sum := crc32.ChecksumIEEE(f.Content)
	plain := make([]byte, 12, 12+len(f.Content))
	if _, err := rand.Read(plain[:11]); err != nil {
		t.Fatal(err)
	}
	plain[11] = byte(sum >> 24)
	plain = append(plain, f.Content...)
	keys := zipKeys{0x12345678, 0x23456789, 0x34567890}
	for _, c := range []byte(password) {
		keys.update(c)
	}
	for i, c := range plain {
		plain[i] ^= keys.next()
		keys.update(c)
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	m, err := w.CreateRaw(&zip.FileHeader{Name: f.Name, Method: zip.Store, Flags: 1, CRC32: sum,
		CompressedSize64: uint64(len(plain)), UncompressedSize64: uint64(len(f.Content))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipKeys is the state of the traditional encryption.
type zipKeys [3]uint32

func (k *zipKeys) update(plain byte) {
	k[0] = crc32.IEEETable[byte(k[0])^plain] ^ k[0]>>8
	k[1] = (k[1]+k[0]&0xff)*134775813 + 1
	k[2] = crc32.IEEETable[byte(k[2])^byte(k[1]>>24)] ^ k[2]>>8
}

func (k *zipKeys) next() byte {
	t := k[2] | 2
	return byte(t * (t ^ 1) >> 8)
}
