// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	maxListRedirects = 3
	// maxListAhead is how far in the future a list may begin: one that CA or
	// clock misdated by more would keep its successors out.
	maxListAhead = time.Hour
	// maxValidator bounds an ETag or Last-Modified that is sent back.
	maxValidator = 256
)

var (
	errListSigner  = errors.New("not signed by a known authority")
	errListSigned  = errors.New("unsupported signature algorithm")
	errListOlder   = errors.New("older than the list in use")
	errListAhead   = errors.New("begins in the future")
	errListNoEnd   = errors.New("no nextUpdate (RFC 5280 §5.1.2.5)")
	errListMany    = errors.New("too many lists are kept already")
	errNotModified = errors.New("HTTP status 304 to an unconditional request")
)

// listSource is one address that lists are fetched from.
type listSource struct {
	url      string
	tried    time.Time            // the last attempt
	trouble  string               // why it failed, as logged; "" when it did not
	list     *x509.RevocationList // the last one accepted from here since the start
	etag     string
	modified string
}

// renew fetches from one address and logs what changes.
func (l *RevocationLists) renew(ctx context.Context, s *listSource, cas []*x509.Certificate) error {
	s.tried = l.cfg.Clock.Now()
	err, text := l.fetch(ctx, s, cas), ""
	if err != nil {
		err = fmt.Errorf("%s: %w", s.url, err)
		text = err.Error()
		if ctx.Err() == nil && text != s.trouble {
			l.cfg.Logger.Warn("revocation list not fetched, the one in use stays", "url", s.url, "error", text)
		}
	}
	s.trouble = text
	return err
}

// fetch gets the list of one address and, when it may be trusted, keeps it.
func (l *RevocationLists) fetch(ctx context.Context, s *listSource, cas []*x509.Certificate) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return err
	}
	now := l.cfg.Clock.Now()
	// A list close to its end is asked for whole: no cache in between must keep
	// its successor away.
	conditional := s.list != nil && l.cfg.Policy.current(s.list, now.Add(beforeEnd))
	if conditional {
		setHeader(req.Header, "If-None-Match", s.etag)
		setHeader(req.Header, "If-Modified-Since", s.modified)
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		if !conditional {
			return errNotModified
		}
		return nil
	}
	raw, err := readBody(resp, maxListBytes)
	if err != nil {
		return err
	}
	list, ca, err := acceptList(raw, cas, now)
	if err != nil {
		return err
	}
	if l.older(list, ca) {
		return errListOlder
	}
	if err := l.keep(s.url, ca, list); err != nil {
		return err
	}
	s.list, s.etag, s.modified = list.RevocationList, validator(resp.Header, "ETag"), validator(resp.Header, "Last-Modified")
	return nil
}

// older says whether there is a newer list of the same CA and scope.
func (l *RevocationLists) older(list scopedList, ca *x509.Certificate) bool {
	return slices.ContainsFunc(slices.Concat(l.web.listsOf(ca), l.files.listsOf(ca)), func(o scopedList) bool {
		return o.scope.key() == list.scope.key() && compareLists(list.RevocationList, o.RevocationList) < 0
	})
}

// keep puts a list to use and in the folder. It is used even when it cannot be
// written, and written when it comes again.
func (l *RevocationLists) keep(url string, ca *x509.Certificate, list scopedList) error {
	name := listFile(url, ca, list.scope)
	h := l.held[name]
	if h == nil && len(l.held) == maxHeldLists {
		return errListMany
	}
	if h == nil || !bytes.Equal(h.list.Raw, list.Raw) {
		h = &heldList{list: list.RevocationList}
		l.held[name] = h
		l.publish()
		l.cfg.Logger.Info("revocation list in use", "url", url, "authority", ca.Subject.String(), "this_update", list.ThisUpdate,
			"next_update", list.NextUpdate, "revoked", len(list.RevokedCertificateEntries))
	}
	if h.saved {
		return nil
	}
	err := l.writeFolder(name, list.Raw)
	h.saved = err == nil
	return err
}

// acceptList reads a list that came over the network, DER or PEM. The signature
// is checked before the list is taken apart: its entries need many times the
// memory of their octets, which is for a CA to spend and nobody else.
func acceptList(raw []byte, cas []*x509.Certificate, now time.Time) (none scopedList, _ *x509.Certificate, _ error) {
	if text := bytes.TrimSpace(raw); bytes.HasPrefix(text, []byte("-----BEGIN X509 CRL-----")) {
		block, _ := pem.Decode(text)
		if block == nil {
			return none, nil, errors.New("PEM: unreadable")
		}
		raw = block.Bytes
	}
	parts, err := splitList(raw)
	if err != nil {
		return none, nil, fmt.Errorf("no revocation list: %w", err)
	}
	ca, err := listSigner(parts, cas)
	if err != nil {
		return none, nil, err
	}
	list, err := parseCRL(raw)
	switch {
	case err != nil:
		return none, nil, err
	case !sameName(list.RawIssuer, ca.RawSubject):
		return none, nil, errListSigner
	case list.NextUpdate.IsZero():
		return none, nil, errListNoEnd
	case list.ThisUpdate.After(now.Add(maxListAhead)):
		return none, nil, errListAhead
	}
	scope, err := scopeOf(list)
	return scopedList{list, scope}, ca, err
}

// listParts are the parts of an encoded CertificateList (RFC 5280 §5.1).
type listParts struct {
	tbs       []byte
	algorithm asn1.ObjectIdentifier
	signature []byte
}

// splitList takes an encoded list apart as far as its signature needs.
func splitList(der []byte) (p listParts, err error) {
	r := derReader(der)
	outer, err := r.expect(tagSequence)
	if err != nil {
		return p, err
	}
	if err := r.end(); err != nil {
		return p, err
	}
	r = derReader(outer.body)
	tbs, err := r.expect(tagSequence)
	if err != nil {
		return p, err
	}
	if p.algorithm, err = r.algorithmOID(); err != nil {
		return p, err
	}
	bits, err := r.expect(tagBitString)
	if err != nil {
		return p, err
	}
	if len(bits.body) == 0 || bits.body[0] != 0 { // unused bits: a signature has none
		return p, errElementTag
	}
	p.tbs, p.signature = tbs.full, bits.body[1:]
	return p, r.end()
}

// listSigner returns the CA whose key signed a list.
func listSigner(p listParts, cas []*x509.Certificate) (*x509.Certificate, error) {
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA1} {
		isRSA := p.algorithm.Equal(signatureOID(h, true))
		if !isRSA && !p.algorithm.Equal(signatureOID(h, false)) {
			continue
		}
		sum := digest(h, p.tbs)
		for _, ca := range cas {
			if isKey(ca, isRSA) && checkSignature(ca.PublicKey, h, sum, p.signature) {
				return ca, nil
			}
		}
		return nil, errListSigner
	}
	return nil, errListSigned
}

// isKey says whether a certificate's key is of the kind RSA, or ECDSA.
func isKey(c *x509.Certificate, isRSA bool) bool {
	if isRSA {
		_, ok := c.PublicKey.(*rsa.PublicKey)
		return ok
	}
	_, ok := c.PublicKey.(*ecdsa.PublicKey)
	return ok
}

// validator returns a header field to be sent back later, "" when there is
// nothing that can be.
func validator(h http.Header, name string) string {
	v := h.Get(name)
	for i := range len(v) {
		if v[i] < 0x20 || v[i] > 0x7e {
			return ""
		}
	}
	if len(v) > maxValidator {
		return ""
	}
	return v
}

// setHeader sets a field that has a value.
func setHeader(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}
