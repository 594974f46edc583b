// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// bombDepth is how many archives lie inside each other in the sample of a
// bomb: more than clamd's MaxRecursion can be set to (100).
const bombDepth = 110

// samples are the made-up messages of a self-test. Each holds octets nobody
// has seen before, because clamd remembers what it has found clean.
type samples struct {
	clean, encrypted, bomb []byte
	both                   []byte // something encrypted and a bomb
}

func newSamples() (samples, error) {
	secret, err := encryptedZip()
	if err != nil {
		return samples{}, err
	}
	bomb, err := deepZip(bombDepth)
	if err != nil {
		return samples{}, err
	}
	return samples{
		clean:     sampleMessage("text/plain", []byte("autotest "+rand.Text()+"\r\n")),
		encrypted: sampleMessage("application/zip", secret),
		bomb:      sampleMessage("application/zip", bomb),
		both:      sampleMessage("application/zip", secret, bomb),
	}, nil
}

// sampleMessage is a message with attachments of one type, so that a test of
// what is in them is one of the engine's reading of mail as well.
func sampleMessage(contentType string, contents ...[]byte) []byte {
	var b bytes.Buffer
	b.WriteString("From: autotest@pecd.invalid\r\nTo: autotest@pecd.invalid\r\nSubject: autotest\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/mixed; boundary=\"=_pecd\"\r\n\r\n" +
		"--=_pecd\r\nContent-Type: text/plain\r\n\r\nautotest\r\n")
	for _, content := range contents {
		b.WriteString("--=_pecd\r\nContent-Type: " + contentType + "\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment\r\n\r\n")
		text := base64.StdEncoding.EncodeToString(content)
		for len(text) > 0 {
			n := min(len(text), 76)
			fmt.Fprintf(&b, "%s\r\n", text[:n])
			text = text[n:]
		}
	}
	b.WriteString("--=_pecd--\r\n")
	return b.Bytes()
}

// encryptedZip is an archive with one member that says it is encrypted. Its
// octets are random: nobody without a password sees a difference.
func encryptedZip() ([]byte, error) {
	secret := make([]byte, 64)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	m, err := w.CreateRaw(&zip.FileHeader{Name: "autotest.txt", Method: zip.Store, Flags: 1, CRC32: 1,
		CompressedSize64: uint64(len(secret)), UncompressedSize64: uint64(len(secret) - 12)})
	if err != nil {
		return nil, err
	}
	if _, err := m.Write(secret); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// deepZip is an archive inside an archive, depth times: some 100 octets each.
func deepZip(depth int) ([]byte, error) {
	content := []byte("autotest " + rand.Text())
	for range depth {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		m, err := w.CreateHeader(&zip.FileHeader{Name: "a.zip", Method: zip.Store})
		if err != nil {
			return nil, err
		}
		if _, err := m.Write(content); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		content = b.Bytes()
	}
	return content, nil
}
