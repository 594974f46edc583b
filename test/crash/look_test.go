// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"go.mozilla.org/pkcs7"

	"pecd/pec"
	"pecd/rfc822"
	"pecd/storage"
)

// found is a certified message in a mailbox.
type found struct {
	where string // mailbox, folder and UID
	box   string
	kind  pec.Kind
	ref   string // the client's Message-ID
	cert  *pec.CertData
	body  [32]byte // of the original's body; zero without one
	sent  bool     // no certified message: the copy of a submission
	wrong string   // what is wrong with it by itself
}

// look reads every message of a mailbox, and says of each what it is.
func (n *node) look(box string, seen map[[32]byte]found) ([]found, error) {
	c, err := n.openIMAP(box)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	folders, err := c.List("", "*", nil).Collect()
	if err != nil {
		return nil, err
	}
	var all []found
	for _, f := range folders {
		got, err := n.lookInto(c, box, f.Mailbox, seen)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", f.Mailbox, box, err)
		}
		all = append(all, got...)
	}
	return all, nil
}

// batch is how many messages are held in memory.
const batch = 20

func (n *node) lookInto(c *imapclient.Client, box, folder string, seen map[[32]byte]found) (all []found, err error) {
	if _, err := c.Select(folder, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return nil, err
	}
	data, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
	if err != nil {
		return nil, err
	}
	section := &imap.FetchItemBodySection{Peek: true}
	for uids := data.AllUIDs(); len(uids) > 0; uids = uids[min(batch, len(uids)):] {
		set := imap.UIDSetNum(uids[:min(batch, len(uids))]...)
		got, err := c.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			return nil, err
		}
		for _, m := range got {
			raw := m.FindBodySection(section)
			sum := sha256.Sum256(raw)
			f, ok := seen[sum]
			if !ok {
				if f = n.site.read(raw); folder == storage.SentName {
					f = sentCopy(raw)
				}
				seen[sum] = f
			}
			f.box, f.where = box, fmt.Sprintf("%s %s uid %d", box, folder, m.UID)
			all = append(all, f)
		}
	}
	return all, nil
}

// read takes a message apart and judges what it is by itself.
func (s *site) read(raw []byte) (f found) {
	scanner := rfc822.NewScanner(rfc822.DefaultLimits())
	if _, err := scanner.Write(raw); err != nil {
		f.wrong = err.Error()
		return f
	}
	m := scanner.Finish()
	rec, err := pec.Recognise(m, bytes.NewReader(raw))
	if err != nil || rec.Kind == pec.None {
		f.wrong = fmt.Sprintf("no certified message: %v %s", err, rec.ReasonEN)
		return f
	}
	f.kind, f.ref, f.cert = rec.Kind, rec.ReceiptRef, rec.CertData
	if rec.Original != nil {
		original := raw[rec.Original.BodyOffset:rec.Original.End]
		_, body, _ := bytes.Cut(original, []byte("\r\n\r\n"))
		f.body = sha256.Sum256(body)
		if f.kind == pec.AnomalyEnvelope {
			f.ref = originalID(original)
		}
	}
	f.wrong = s.signature(rec, raw)
	if f.wrong == "" && f.cert == nil && f.kind != pec.AnomalyEnvelope {
		f.wrong = "daticert.xml is missing"
	}
	if f.wrong == "" && f.cert != nil && f.cert.MsgID != f.ref {
		f.wrong = fmt.Sprintf("X-Riferimento-Message-ID %s, daticert.xml says %s", f.ref, f.cert.MsgID)
	}
	return f
}

// sentCopy reads the copy of a submission.
func sentCopy(raw []byte) found {
	_, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	return found{sent: true, ref: originalID(raw), body: sha256.Sum256(body)}
}

func originalID(message []byte) string {
	m, err := mail.ReadMessage(bytes.NewReader(message))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(m.Header.Get("Message-ID"))
}

// signature says what is wrong with the signature of a message, "" for nothing:
// it must be whole, and that of the provider it comes from.
func (s *site) signature(rec *pec.Recognised, raw []byte) string {
	p7, err := pkcs7.Parse(rec.Signature)
	if err != nil {
		return "signature: " + err.Error()
	}
	p7.Content = raw[rec.Signed.Offset:rec.Signed.End]
	if err := p7.VerifyWithChainAtTime(s.roots, time.Now()); err != nil {
		return "signature: " + err.Error()
	}
	for _, n := range s.nodes {
		if by := p7.GetOnlySigner(); by != nil && by.Equal(n.signer) && rec.From == "posta-certificata@"+n.domain {
			return ""
		}
	}
	return "signed by nobody it could come from: " + rec.From
}

// headers is what a look at the headers of a mailbox gives: what refers to a
// client's Message-ID, by kind.
type headers map[string]map[string]int

// glance reads the header fields of a mailbox that came after the last time.
func (n *node) glance(c *imapclient.Client, after imap.UID, into headers) (last imap.UID, err error) {
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true,
		HeaderFields: []string{"X-Riferimento-Message-ID", "X-Ricevuta", "X-Trasporto"}}
	got, err := c.Fetch(imap.UIDSet{{Start: after + 1}}, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return after, err
	}
	last = after
	for _, m := range got {
		if m.UID <= after {
			continue // n:* always names the last message (RFC 9051 §9)
		}
		h, err := mail.ReadMessage(io.MultiReader(bytes.NewReader(m.FindBodySection(section)), strings.NewReader("\r\n")))
		if err != nil {
			return after, err
		}
		id := h.Header.Get("X-Riferimento-Message-ID")
		if into[id] == nil {
			into[id] = make(map[string]int)
		}
		into[id][h.Header.Get("X-Ricevuta")+h.Header.Get("X-Trasporto")]++
		last = max(last, m.UID)
	}
	return last, nil
}
