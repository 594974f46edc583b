// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"net/http"
)

// ServeHTTP serves our record, signed, at whatever path the handler is mounted
// on: the file of LDIFLocationURL (RFC 6109 §4.5.6). It answers GET and HEAD,
// also conditional ones and ranges; 405 to other methods, 403 to whoever shows
// no verified client certificate where one is required, 503 while there is
// nothing to serve.
func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.cfg.RequireClientCertificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		http.Error(w, "serve un certificato client / a client certificate is required", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "metodo non ammesso / method not allowed", http.StatusMethodNotAllowed)
		return
	}
	now := p.current.Load()
	if now == nil {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "non ancora disponibile / not available yet", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/pkcs7-mime; smime-type=signed-data")
	h.Set("ETag", now.etag)
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", now.at, bytes.NewReader(now.p7m))
}
