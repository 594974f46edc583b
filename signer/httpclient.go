// SPDX-License-Identifier: EUPL-1.2

package signer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// connectWait bounds the two handshakes of a connection; the exchange as a
// whole is bounded by its context.
const connectWait = 10 * time.Second

var errRedirects = errors.New("too many redirects")

// newClient returns a client for requests that are small and rare. Nothing is
// kept open, and nothing unpacked: what is counted is what came over the wire.
// A nil transport means one of its own.
func newClient(t http.RoundTripper, redirects int) *http.Client {
	if t == nil {
		t = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectWait}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    connectWait,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
			DisableCompression:     true,
		}
	}
	return &http.Client{Transport: t, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) > redirects {
			return errRedirects
		}
		return nil
	}}
}

// readBody reads the body of an answer with status 200, of at most limit octets.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	if resp.ContentLength > limit {
		return nil, errTooLong
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = errTooLong
	}
	return raw, err
}

var errTooLong = errors.New("the answer is too long")
