// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"pecd/fault"
	"pecd/pipeline"
)

const (
	smtpPort  = "25"
	maxHosts  = 10 // mail exchangers tried for one message
	maxPerOne = 4  // addresses tried of one of them
)

// Resolver asks the DNS; *net.Resolver is one. Names are passed with their
// final dot, so that no search list applies.
type Resolver interface {
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupHost(ctx context.Context, host string) ([]string, error)
}

// target is one server that takes mail for a domain.
type target struct {
	host string // name for TLS, logs and the connection pool
	addr string // host:port to dial; "": the addresses of host, port 25
}

// resolve returns the servers of domain in the order to try them: a static
// route, else its mail exchangers by preference, else the domain's own address
// (RFC 5321 §5.1). Its errors are *sendError.
func (r *Relay) resolve(ctx context.Context, domain string) ([]target, error) {
	domain = strings.ToLower(strings.TrimSuffix(domain, "."))
	if !validDomain(domain) {
		return nil, unroutable("501 5.1.2 dominio non valido / invalid domain", nil)
	}
	route, ok := r.cfg.Routes[domain]
	if !ok {
		route, ok = r.cfg.Routes["*"]
	}
	if ok {
		host, _, err := net.SplitHostPort(route)
		if err != nil {
			return nil, failed("451 4.3.5 rotta non valida / invalid route", err)
		}
		return []target{{host: host, addr: route}}, nil
	}
	if lit, isLit := strings.CutPrefix(domain, "["); isLit {
		ip, _ := literalIP(lit)
		if !public(ip) {
			return nil, unroutable("550 5.1.2 indirizzo non raggiungibile / unusable address", nil)
		}
		return []target{{host: ip.String(), addr: net.JoinHostPort(ip.String(), smtpPort)}}, nil
	}
	return r.exchangers(ctx, domain)
}

func (r *Relay) exchangers(ctx context.Context, domain string) ([]target, error) {
	ctx, done := within(ctx, r.cfg.Clock, r.cfg.Timeouts.DNS)
	defer done()
	mx, err := r.cfg.Resolver.LookupMX(ctx, domain+".")
	// Malformed records are reported beside the good ones.
	if len(mx) == 0 && err != nil && !notFound(err) {
		return nil, failed("451 4.4.3 DNS non disponibile / DNS failure", err)
	}
	if len(mx) == 0 {
		// RFC 5321 §5.1: the domain itself is its only exchanger. Ask now:
		// where that does not exist either, the domain does not.
		if _, err := r.cfg.Resolver.LookupHost(ctx, domain+"."); notFound(err) {
			return nil, unroutable("550 5.1.2 dominio inesistente / no such domain", err)
		}
		return []target{{host: domain}}, nil
	}
	if len(mx) == 1 && (mx[0].Host == "." || mx[0].Host == "") {
		return nil, unroutable("556 5.1.10 il dominio non riceve posta / domain takes no mail (RFC 7505)", nil)
	}
	return r.ordered(mx)
}

// ordered sorts by preference and leaves out this server and everything behind
// it: who is no better than we are would send the message back.
func (r *Relay) ordered(mx []*net.MX) ([]target, error) {
	mx = slices.Clone(mx)
	slices.SortStableFunc(mx, func(a, b *net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
	own := slices.IndexFunc(mx, func(m *net.MX) bool {
		return strings.EqualFold(strings.TrimSuffix(m.Host, "."), r.cfg.Hostname)
	})
	if own >= 0 {
		own = slices.IndexFunc(mx, func(m *net.MX) bool { return m.Pref == mx[own].Pref })
		mx = mx[:own]
	}
	if own == 0 {
		return nil, &sendError{kind: fault.Denied, reply: "554 5.4.6 il dominio rimanda a questo server / mail loops back here"}
	}
	var out []target
	for _, m := range mx[:min(len(mx), maxHosts)] {
		if host := strings.ToLower(strings.TrimSuffix(m.Host, ".")); validDomain(host) {
			out = append(out, target{host: host})
		}
	}
	if len(out) == 0 {
		return nil, unroutable("550 5.1.2 il dominio non ha server di posta validi / no usable mail exchanger", nil)
	}
	return out, nil
}

// addresses returns what to dial for t.
func (r *Relay) addresses(ctx context.Context, t target) ([]string, error) {
	if t.addr != "" {
		return []string{t.addr}, nil
	}
	ctx, done := within(ctx, r.cfg.Clock, r.cfg.Timeouts.DNS)
	defer done()
	// An exchanger may be named by its address, against RFC 5321 §5.1.
	ips := []string{t.host}
	if _, err := netip.ParseAddr(t.host); err != nil {
		if ips, err = r.cfg.Resolver.LookupHost(ctx, t.host+"."); err != nil {
			return nil, failed("451 4.4.3 server di posta non trovato nel DNS / mail exchanger not found", err)
		}
	}
	out := dialed(ips)
	if len(out) == 0 {
		return nil, failed("451 4.4.4 il server di posta non ha indirizzi utili / mail exchanger has no usable address", nil)
	}
	return out, nil
}

// dialed returns the addresses to try, in their order. Half of the places are
// kept for either family: one that does not work here must not hide the other.
func dialed(ips []string) []string {
	var usable []string
	room := [2]int{maxPerOne / 2, maxPerOne / 2}
	var late []string
	for _, s := range ips {
		ip, err := netip.ParseAddr(s)
		if err != nil || !public(ip) {
			continue
		}
		family := 0
		if ip.Unmap().Is6() {
			family = 1
		}
		addr := net.JoinHostPort(s, smtpPort)
		if room[family] == 0 {
			late = append(late, addr)
			continue
		}
		room[family]--
		usable = append(usable, addr)
	}
	usable = append(usable, late...)
	return usable[:min(len(usable), maxPerOne)]
}

// public reports whether the DNS of a stranger may send us to ip: not to
// ourselves. Private networks are let through: some providers live in one.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsValid() && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLinkLocalUnicast()
}

func notFound(err error) bool {
	var de *net.DNSError
	return errors.As(err, &de) && de.IsNotFound && !de.IsTemporary
}

// sendError is why a message did not get to a server, in words for the log and
// for notices.
type sendError struct {
	kind  fault.Kind
	reply string // like a reply of the other server
	cause error
}

// Error implements error.
func (e *sendError) Error() string {
	if e.cause == nil {
		return e.reply
	}
	return e.reply + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *sendError) Unwrap() error { return e.cause }

func failed(reply string, cause error) error {
	return &sendError{kind: fault.Temporary, reply: reply, cause: cause}
}

// unroutable is the final failure of a destination that does not exist.
func unroutable(reply string, cause error) error {
	return &sendError{kind: fault.NotFound, reply: reply, cause: errors.Join(pipeline.ErrNoDomain, cause)}
}
