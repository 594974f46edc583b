// SPDX-License-Identifier: EUPL-1.2

package autoconf

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"pecd/clock"
	"pecd/directory"
	"pecd/fault"
	"pecd/storage"
)

// The paths that are served, in lower case.
const (
	pathAutoconfig   = "/mail/config-v1.1.xml"
	pathWellKnown    = "/.well-known/autoconfig" + pathAutoconfig
	pathAutodiscover = "/autodiscover/autodiscover.xml"
	pathDiscovery    = "/autodiscover/autodiscover.json" // also followed by /v1.0/ADDRESS
	pathProfile      = "/mail.mobileconfig"
	pathPage         = "/client"
)

// maxRequest bounds a posted question, in octets: Outlook's have some 400.
const maxRequest = 8 << 10

// unknownDomain is the answer for a domain that is not ours.
const unknownDomain = "dominio non gestito / no domain of this provider"

// Domains knows the provider's domains; *directory.Directory is one.
type Domains interface {
	Domain(ctx context.Context, name string) (storage.Domain, error)
}

// Handler serves the documents over HTTPS. It asks for no credentials, and gets
// none: Outlook sends them where it is told to.
type Handler struct {
	Site    Site
	Domains Domains
	// Sign signs a configuration profile (CMS, DER). One is signed at a time.
	Sign   func(profile []byte) ([]byte, error)
	Clock  clock.Clock
	Logger *slog.Logger

	signing chan struct{}
}

// NewHandler returns a handler for a site.
func NewHandler(h Handler) *Handler {
	h.signing = make(chan struct{}, 1)
	return &h
}

// ServeHTTP implements http.Handler. Unknown paths and domains are 404,
// malformed addresses 400, other methods than those of a path 405.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path := strings.ToLower(r.URL.Path) // Outlook writes /Autodiscover/Autodiscover.xml, too
	switch {
	case path == pathAutoconfig || path == pathWellKnown:
		h.allow(w, r, h.autoconfig, http.MethodGet, http.MethodHead)
	case path == pathAutodiscover:
		h.allow(w, r, h.autodiscover, http.MethodPost)
	case path == pathDiscovery || strings.HasPrefix(path, pathDiscovery+"/v1.0/"):
		h.allow(w, r, h.discovery, http.MethodGet, http.MethodHead)
	case path == pathProfile:
		h.allow(w, r, h.profile, http.MethodGet)
	case path == pathPage:
		h.allow(w, r, h.page, http.MethodGet, http.MethodHead)
	default:
		http.NotFound(w, r)
	}
}

func (h *Handler) allow(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc, methods ...string) {
	for _, m := range methods {
		if r.Method == m {
			serve(w, r)
			return
		}
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	http.Error(w, "metodo non ammesso / method not allowed", http.StatusMethodNotAllowed)
}

// autoconfig answers Thunderbird. The domain is the address's, or, where none is
// given, the one under whose name we were asked.
func (h *Handler) autoconfig(w http.ResponseWriter, r *http.Request) {
	var domain string
	var ok bool
	if address := r.URL.Query().Get("emailaddress"); address != "" {
		_, domain, ok = h.address(w, r, address)
	} else {
		domain, ok = h.domain(w, r, askedDomain(r))
	}
	if !ok {
		return
	}
	doc, err := h.Site.autoconfig(domain)
	h.send(w, "text/xml; charset=utf-8", doc, err)
}

// askedDomain is the domain of a question without an address: what Redirect
// says, or else the name under which we were asked.
func askedDomain(r *http.Request) string {
	if d := r.URL.Query().Get("domain"); d != "" {
		return d
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.TrimPrefix(strings.ToLower(host), "autoconfig.")
}

// autodiscover answers Outlook.
func (h *Handler) autodiscover(w http.ResponseWriter, r *http.Request) {
	const kind = "text/xml; charset=utf-8"
	refuse := func(code int, message string) {
		doc, err := refusePOX(code, message, h.Clock.Now().UTC().Format("15:04:05"))
		h.send(w, kind, doc, err)
	}
	q, err := readPOX(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil || q.Address == "" {
		refuse(poxBadRequest, "Invalid Request")
		return
	}
	if q.Schema != poxOutlook {
		refuse(poxBadSchema, "Provider not available for the requested schema")
		return
	}
	address, _, ok := h.address(w, r, q.Address)
	if !ok {
		return
	}
	doc, err := h.Site.autodiscover(address)
	h.send(w, kind, doc, err)
}

// discovery says where autodiscover is served ([MS-OXDSCLI] §3.1.5, the JSON
// request of newer clients).
func (h *Handler) discovery(w http.ResponseWriter, r *http.Request) {
	address, protocol := "", ""
	for key, v := range r.URL.Query() {
		switch strings.ToLower(key) {
		case "email":
			address = v[0]
		case "protocol":
			protocol = v[0]
		}
	}
	if in, ok := strings.CutPrefix(strings.ToLower(r.URL.Path), pathDiscovery+"/v1.0/"); ok {
		address = in
	}
	if address != "" { // asked without one by some; the answer is the same
		if _, _, ok := h.address(w, r, address); !ok {
			return
		}
	}
	status, answer := http.StatusOK, any(discovery{"AutodiscoverV1", h.Site.Web(pathAutodiscover)})
	if !strings.EqualFold(protocol, "AutodiscoverV1") {
		status, answer = http.StatusBadRequest, discoveryError{"InvalidProtocol", "The given protocol value is invalid. Supported values are 'AutodiscoverV1'."}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		h.Logger.Debug("autodiscover not answered", "error", err)
	}
}

// page serves what people read.
func (h *Handler) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	doc, err := h.Site.page()
	h.send(w, "text/html; charset=utf-8", doc, err)
}

// profile serves the configuration profile of Apple's devices. Each costs a
// signature: the connection ends with it, so that asking again costs the one
// who asks a handshake, too.
func (h *Handler) profile(w http.ResponseWriter, r *http.Request) {
	address := ""
	if asked := r.URL.Query().Get("emailaddress"); asked != "" {
		a, _, ok := h.address(w, r, asked)
		if !ok {
			return
		}
		address = a
	}
	doc, offered, err := h.Site.profile(address)
	if err == nil && !offered {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Connection", "close")
	select {
	case h.signing <- struct{}{}:
	case <-r.Context().Done():
		return
	}
	if err == nil {
		doc = h.signed(doc)
	}
	<-h.signing
	w.Header().Set("Content-Disposition", `attachment; filename="pec.mobileconfig"`)
	h.send(w, "application/x-apple-aspen-config", doc, err)
}

// signed returns the profile signed, or as it is where the key cannot sign: the
// device then says that it is not signed, and takes it.
func (h *Handler) signed(doc []byte) []byte {
	p7, err := h.Sign(doc)
	if err != nil {
		h.Logger.Warn("configuration profile not signed", "error", err)
		return doc
	}
	return p7
}

// address reads an address of one of our domains. Otherwise it answers, and ok
// is false. Whether there is such a mailbox is not looked at.
func (h *Handler) address(w http.ResponseWriter, r *http.Request, text string) (address, domain string, ok bool) {
	address, err := directory.CanonicalAddress(text)
	if err != nil {
		http.Error(w, fault.CodesOf(err).Text, http.StatusBadRequest)
		return "", "", false
	}
	domain, ok = h.domain(w, r, address[strings.LastIndexByte(address, '@')+1:])
	return address, domain, ok
}

// domain looks up a domain of ours. Otherwise it answers, and ok is false.
func (h *Handler) domain(w http.ResponseWriter, r *http.Request, name string) (domain string, ok bool) {
	d, err := h.Domains.Domain(r.Context(), name)
	switch {
	case fault.Is(err, fault.NotFound):
		http.Error(w, unknownDomain, http.StatusNotFound)
	case err != nil:
		h.Logger.Error("client configuration: domains not readable", "error", err)
		http.Error(w, fault.CodesOf(err).Text, http.StatusServiceUnavailable)
	}
	return d.Name, err == nil
}

// send writes a document.
func (h *Handler) send(w http.ResponseWriter, contentType string, doc []byte, err error) {
	if err != nil {
		h.Logger.Error("client configuration not made", "error", err)
		http.Error(w, fault.CodesOf(err).Text, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-cache")
	if _, err := w.Write(doc); err != nil {
		h.Logger.Debug("client configuration not sent", "error", err)
	}
}

// Redirect sends who asks in clear for one of the documents to the same path
// over HTTPS: what is served in clear could be altered on the way, and names the
// servers that get the password. Other paths are not found.
func (s Site) Redirect(w http.ResponseWriter, r *http.Request) {
	path := strings.ToLower(r.URL.Path)
	q := r.URL.Query()
	switch path {
	case pathAutoconfig, pathWellKnown:
		if !q.Has("emailaddress") {
			q.Set("domain", askedDomain(r)) // the name goes with the redirection
		}
	case pathAutodiscover, pathDiscovery, pathProfile, pathPage:
	default:
		path = ""
	}
	if path == "" || !s.HTTPS.Offered() {
		http.NotFound(w, r)
		return
	}
	to := s.Web(path)
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	http.Redirect(w, r, to, http.StatusFound)
}
