// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"mime"
	"net/http"
	"time"

	"go.mozilla.org/pkcs7"

	"pecd/clock"
	"pecd/fault"
)

const (
	// maxStampBytes bounds an answer of a time-stamping authority; real ones
	// have 3 to 10 kB.
	maxStampBytes = maxSignatureBytes
	// maxStampDeviation is how far a new stamp may be from our own clock.
	maxStampDeviation = 5 * time.Minute

	typeStampQuery = "application/timestamp-query"
	typeStampReply = "application/timestamp-reply"
)

// TimeStamper is a client of a time-stamping authority (RFC 3161, over HTTP:
// §3.4). It is safe for concurrent use.
type TimeStamper struct {
	// URL is where the authority answers, http or https. It may hold a user and
	// a password.
	URL string
	// Authorities are the trust anchors of stamps; the certificate that signs
	// them may be one itself.
	Authorities []*x509.Certificate
	// Policy is the policy to stamp under. Nil: the authority's own.
	Policy asn1.ObjectIdentifier
	// Timeout bounds one request, to the last octet. Zero: half a minute.
	Timeout time.Duration
	// Transport carries the requests. Nil: one of its own.
	Transport http.RoundTripper
	Clock     clock.Clock
}

// stampRequest is a TimeStampReq (RFC 3161 §2.4.1).
type stampRequest struct {
	Version int
	Imprint stampImprint
	Policy  asn1.ObjectIdentifier `asn1:"optional"`
	Nonce   *big.Int
	CertReq bool
}

// stampImprint is a MessageImprint.
type stampImprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Sum       []byte
}

// Stamp has a SHA-256 digest stamped. response is the TimeStampResp as it came,
// the contents of a .tsr file, and at the time inside. It was verified as
// VerifyStamp does; besides, it answers this very request and its time is
// within five minutes of the clock.
//
// Errors: Temporary when there is no answer, or the authority refuses; Invalid
// when the answer is unreadable; Denied when it does not hold.
func (s *TimeStamper) Stamp(ctx context.Context, sum [sha256.Size]byte) (response []byte, at time.Time, err error) {
	const op = "signer.Stamp"
	octets := make([]byte, 8)
	if _, err := rand.Read(octets); err != nil {
		return nil, at, fault.New(op, fault.Internal, err)
	}
	nonce := new(big.Int).SetBytes(octets)
	request, err := asn1.Marshal(stampRequest{
		Version: 1, Policy: s.Policy, Nonce: nonce, CertReq: true,
		Imprint: stampImprint{pkix.AlgorithmIdentifier{Algorithm: pkcs7.OIDDigestAlgorithmSHA256, Parameters: asn1.NullRawValue}, sum[:]},
	})
	if err != nil {
		return nil, at, fault.New(op, fault.Invalid, err)
	}
	if response, err = s.post(ctx, request); err != nil {
		return nil, at, &fault.Error{Op: op, Kind: fault.Temporary, Err: err,
			Text: "l'autorità di marcatura temporale non risponde / no answer from the time-stamping authority"}
	}
	info, err := openStamp(op, response, sum, s.Authorities)
	if err != nil {
		return nil, at, err
	}
	if info.nonce == nil || info.nonce.Cmp(nonce) != 0 {
		return nil, at, denied(op, because("la marca temporale risponde a un'altra richiesta", "the time stamp answers another request"))
	}
	if s.Policy != nil && !info.policy.Equal(s.Policy) {
		return nil, at, denied(op, because("la marca temporale è di un'altra policy ("+info.policy.String()+")",
			"the time stamp is of another policy ("+info.policy.String()+")"))
	}
	if now := s.Clock.Now(); info.at.Sub(now).Abs() > maxStampDeviation {
		return nil, at, denied(op, because("l'ora della marca temporale si discosta troppo dalla nostra",
			"the time of the stamp is too far from ours: "+info.at.Format(time.RFC3339)))
	}
	return response, info.at, nil
}

// post sends a request and returns the answer.
func (s *TimeStamper) post(ctx context.Context, request []byte) ([]byte, error) {
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", typeStampQuery)
	req.Header.Set("Accept", typeStampReply)
	resp, err := newClient(s.Transport, 0).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := readBody(resp, maxStampBytes)
	if err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != typeStampReply {
		return nil, fmt.Errorf("an answer of type %.80q", resp.Header.Get("Content-Type"))
	}
	return answer, nil
}

// VerifyStamp checks a TimeStampResp, the contents of a .tsr file, over a
// SHA-256 digest, and returns the time inside: granted, for this digest, signed
// by a certificate that is for time stamps alone and led to one of the roots at
// that time (RFC 3161 §2.2, §2.3).
//
// Errors: Invalid when it is unreadable, Temporary when it is a refusal, Denied
// when it does not hold. The text says why in Italian and English.
func VerifyStamp(response []byte, sum [sha256.Size]byte, roots []*x509.Certificate) (at time.Time, err error) {
	info, err := openStamp("signer.VerifyStamp", response, sum, roots)
	if err != nil {
		return at, err
	}
	return info.at, nil
}
