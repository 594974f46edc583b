// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"pecd/directory"
	"pecd/pec"
	"pecd/rfc822"
	"pecd/signer"
)

type unwrapCmd struct {
	File  string   `arg:"" type:"existingfile" help:"The message, as saved by a mail client."`
	JSON  bool     `help:"Print JSON."`
	CA    []string `name:"ca" type:"existingfile" help:"PEM bundle of the authorities to trust. Without one the chain is followed to the certificates in the message only."`
	CRL   []string `name:"crl" type:"existingfile" help:"Revocation lists."`
	Index string   `type:"existingfile" help:"Provider index (LDIF): also checks that the signer is a provider."`
	Out   string   `short:"o" type:"path" help:"Where to write the original; - for standard output. Default: FILE.postacert.eml in the present folder."`
}

// unwrapped is what unwrap prints.
type unwrapped struct {
	File      string        `json:"file"`
	Kind      string        `json:"kind"`
	Title     string        `json:"title"`
	Claimed   string        `json:"claimed,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	ReasonEN  string        `json:"reason_en,omitempty"`
	From      string        `json:"from,omitempty"`
	Subject   string        `json:"subject,omitempty"`
	Provider  string        `json:"provider,omitempty"`
	Data      *certView     `json:"data,omitempty"`
	Signature signatureView `json:"signature"`
	Original  string        `json:"original,omitempty"`
	Note      string        `json:"note,omitempty"`
	cert      *pec.CertData
	rec       *pec.Recognised
}

// Run analyses the file.
func (c *unwrapCmd) Run(e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	m, note, err := canonical(f)
	if err != nil {
		return err
	}
	defer m.close()
	verifier, err := c.verifier(e.clock.Now())
	if err != nil {
		return err
	}
	u, err := c.analyse(m, verifier, e.clock.Now())
	if err != nil {
		return err
	}
	u.Note = note
	if err := c.writeOriginal(e, u, m); err != nil {
		return err
	}
	if c.Out == "-" {
		return nil
	}
	return u.print(e.stdout, c.JSON)
}

// mailFile is a message with CRLF line ends.
type mailFile struct {
	*os.File
	size  int64
	close func() error
}

// canonical returns the message with the line ends it had on the wire: tools
// that save messages often leave LF, over which no signature verifies.
func canonical(f *os.File) (*mailFile, string, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	first, err := bufio.NewReader(io.NewSectionReader(f, 0, st.Size())).ReadSlice('\n')
	if err != nil || bytes.HasSuffix(first, []byte("\r\n")) {
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, "", err
		}
		return &mailFile{f, st.Size(), func() error { return nil }}, "", nil
	}
	tmp, err := os.CreateTemp("", "pecd-unwrap-")
	if err != nil {
		return nil, "", err
	}
	m := &mailFile{File: tmp, close: func() error { return errors.Join(tmp.Close(), os.Remove(tmp.Name())) }}
	m.size, err = toCRLF(tmp, f)
	if err != nil {
		return nil, "", errors.Join(err, m.close())
	}
	return m, "fine riga LF ricondotti a CRLF / LF line ends taken as CRLF", nil
}

func toCRLF(dst io.Writer, src io.Reader) (int64, error) {
	r, w := bufio.NewReaderSize(src, 64<<10), bufio.NewWriterSize(dst, 64<<10)
	var n int64
	var last byte
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return n, w.Flush()
		}
		if err != nil {
			return n, err
		}
		if b == '\n' && last != '\r' {
			w.WriteByte('\r')
			n++
		}
		w.WriteByte(b)
		n++
		last = b
	}
}

func (c *unwrapCmd) verifier(now time.Time) (*signer.Verifier, error) {
	cfg := signer.VerifierConfig{AllowSHA1Digests: true, AllowSHA1: true}
	for _, f := range c.CA {
		certs, err := signer.LoadCertificates(f)
		if err != nil {
			return nil, err
		}
		cfg.Roots = append(cfg.Roots, certs...)
	}
	if len(c.CRL) > 0 {
		crls, err := signer.LoadCRLs(c.CRL...)
		if err != nil {
			return nil, err
		}
		cfg.CRLs = crls
	}
	if c.Index != "" {
		f, err := os.Open(c.Index)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		var ldif io.Reader = f
		if strings.HasSuffix(c.Index, ".p7m") {
			raw, err := io.ReadAll(io.LimitReader(f, maxIndex))
			if err != nil {
				return nil, err
			}
			o, err := signer.NewVerifier(cfg).OpenSigned(raw, maxIndex, now)
			if err != nil {
				return nil, err
			}
			ldif = bytes.NewReader(o.Content)
		}
		index, err := directory.ReadLDIF(ldif)
		if err != nil {
			return nil, err
		}
		cfg.Origins = index
	}
	return signer.NewVerifier(cfg), nil
}

func (c *unwrapCmd) analyse(m *mailFile, v *signer.Verifier, now time.Time) (*unwrapped, error) {
	s := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := io.Copy(s, io.NewSectionReader(m, 0, m.size)); err != nil {
		return nil, err
	}
	rec, err := pec.Recognise(s.Finish(), m)
	if err != nil {
		return nil, err
	}
	u := &unwrapped{
		File: c.File, Kind: rec.Kind.String(), Title: rec.Kind.Title(), From: rec.From, Subject: rec.Subject,
		Reason: rec.Reason, ReasonEN: rec.ReasonEN, cert: rec.CertData, rec: rec,
	}
	if rec.Kind == pec.None && rec.Claimed != pec.None {
		u.Claimed = rec.Claimed.String()
	}
	at := now
	if d := rec.CertData; d != nil {
		u.Data, at, u.Provider = viewOf(d), d.At, d.Issuer
	}
	u.Signature = c.judge(rec, m, v, at)
	if u.Provider == "" {
		u.Provider = u.Signature.Provider
	}
	return u, nil
}

// judge verifies the signature at the message's own time. Without authorities
// to trust, it says no more than that the content is what was signed.
func (c *unwrapCmd) judge(rec *pec.Recognised, m *mailFile, v *signer.Verifier, at time.Time) signatureView {
	if rec.Signed == nil || rec.Signature == nil {
		return signatureView{Verdict: "absent", Text: "firma assente / no signature"}
	}
	content := io.NewSectionReader(m, rec.Signed.Offset, rec.Signed.End-rec.Signed.Offset)
	return viewVerdict(v.Verify(rec.Signature, content, at, rec.From), len(c.CA) > 0)
}

// writeOriginal writes the enclosed original: to the file that was named, or to
// one beside, unless there is one with other contents.
func (c *unwrapCmd) writeOriginal(e *env, u *unwrapped, m *mailFile) error {
	o := u.rec.Original
	if o == nil {
		if c.Out != "" {
			return fmt.Errorf("%s: nessun messaggio originale incluso / no original enclosed", c.File)
		}
		return nil
	}
	content := io.NewSectionReader(m, o.BodyOffset, o.End-o.BodyOffset)
	if c.Out == "-" {
		_, err := io.Copy(e.stdout, content)
		return err
	}
	u.Original = c.Out
	if c.Out == "" {
		u.Original = strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File)) + ".postacert.eml"
		if exists(u.Original) {
			same, err := sameContent(u.Original, content)
			if err == nil && !same {
				err = fmt.Errorf("%s esiste già con altro contenuto: usare --out / exists with other contents: use --out", u.Original)
			}
			return err
		}
	}
	return writeWhole(u.Original, content)
}

// writeWhole writes a file beside its place and moves it there, so that a
// failure, or a name that is the source's own, leaves what was there.
func writeWhole(path string, content *io.SectionReader) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".pecd-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	n, err := io.Copy(tmp, content)
	if err == nil && n != content.Size() {
		err = io.ErrUnexpectedEOF
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func sameContent(path string, want *io.SectionReader) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() != want.Size() {
		return false, err
	}
	a, b := bufio.NewReader(f), bufio.NewReader(want)
	for {
		x, errA := a.ReadByte()
		y, errB := b.ReadByte()
		if errA != nil || errB != nil {
			return errors.Is(errA, io.EOF) && errors.Is(errB, io.EOF), nil
		}
		if x != y {
			return false, nil
		}
	}
}
