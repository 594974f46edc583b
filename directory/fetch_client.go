// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"pecd/fault"
)

// Bounds of a fetch, besides its whole time and size.
const (
	maxRedirects   = 5
	connectTimeout = 30 * time.Second
	answerTimeout  = 2 * time.Minute // until the header of the answer
	maxHeaderBytes = 64 << 10
)

// newIndexClient returns a client that speaks https alone, also after a
// redirection, and keeps no connection. A proxy of the environment is used.
func newIndexClient(cfg FetcherConfig) *http.Client {
	conf := &tls.Config{}
	if cfg.TLS != nil {
		conf = cfg.TLS.Clone()
	}
	if conf.MinVersion == 0 {
		conf.MinVersion = tls.VersionTLS12
	}
	if conf.Time == nil {
		conf.Time = cfg.Clock.Now
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    connectTimeout,
			ResponseHeaderTimeout:  answerTimeout,
			MaxResponseHeaderBytes: maxHeaderBytes,
			DisableKeepAlives:      true,
			DisableCompression:     true, // what is signed is what is sent
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case r.URL.Scheme != "https":
				return errors.New("redirected away from https")
			case len(via) > maxRedirects:
				return errors.New("redirected too often")
			}
			return nil
		},
	}
}

// download returns the published file. Errors are Temporary, but for a file
// that is too large, which is Invalid.
func (f *Fetcher) download(ctx context.Context) ([]byte, error) {
	const op = "directory.download"
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, f.cfg.URL, nil)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	r.Header.Set("User-Agent", "pecd")
	r.Header.Set("Accept", "application/pkcs7-mime, application/octet-stream, */*;q=0.5")
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, fault.New(op, fault.Temporary, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fault.New(op, fault.Temporary, fmt.Errorf("%s answers %d", f.cfg.URL, answer.StatusCode))
	}
	tooLong := fault.New(op, fault.Invalid, fmt.Errorf("the published file is longer than %d octets", f.cfg.MaxBytes))
	if answer.ContentLength > f.cfg.MaxBytes {
		return nil, tooLong
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, f.cfg.MaxBytes+1))
	if err == nil {
		// A server that ends its answer in order when it sees us hang up makes
		// a body cut off by the timeout look complete.
		err = ctx.Err()
	}
	if err != nil {
		return nil, fault.New(op, fault.Temporary, fmt.Errorf("after %d octets: %w", len(body), err))
	}
	if int64(len(body)) > f.cfg.MaxBytes {
		return nil, tooLong
	}
	return body, nil
}
