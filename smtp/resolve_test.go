// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/pipeline"
)

// fakeDNS answers from two tables; a missing name does not exist.
type fakeDNS struct {
	mx   map[string][]*net.MX
	host map[string][]string
	down bool
}

func (f fakeDNS) absent(name string) error {
	if f.down {
		return &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (f fakeDNS) LookupMX(_ context.Context, name string) ([]*net.MX, error) {
	if mx, ok := f.mx[name]; ok {
		return mx, nil
	}
	return nil, f.absent(name)
}

func (f fakeDNS) LookupHost(_ context.Context, name string) ([]string, error) {
	if h, ok := f.host[name]; ok {
		return h, nil
	}
	return nil, f.absent(name)
}

func TestResolve(t *testing.T) {
	dns := fakeDNS{
		mx: map[string][]*net.MX{
			"beta.example.": {{Host: "b.beta.example.", Pref: 20}, {Host: "A.beta.example.", Pref: 10}, {Host: "c.beta.example.", Pref: 20}},
			"null.example.": {{Host: ".", Pref: 0}},
			"loop.example.": {{Host: "mx.ALFA.example.", Pref: 10}, {Host: "b.loop.example.", Pref: 20}},
			"back.example.": {{Host: "mx.alfa.example.", Pref: 20}, {Host: "peer.back.example.", Pref: 20}, {Host: "front.back.example.", Pref: 10}},
			"junk.example.": {{Host: "bad host!.", Pref: 1}},
			"many.example.": manyMX(50),
		},
		host: map[string][]string{"plain.example.": {"192.0.2.1"}},
	}
	r := &Relay{cfg: RelayConfig{Hostname: "mx.alfa.example", Resolver: dns, Routes: map[string]string{"route.example": "127.0.0.1:1025", "bad.example": "nowhere"}}.withDefaults()}
	for _, tt := range []struct {
		domain, want string
		kind         fault.Kind
	}{
		{"beta.example", "a.beta.example b.beta.example c.beta.example", 0},
		{"BETA.example.", "a.beta.example b.beta.example c.beta.example", 0},
		{"route.example", "127.0.0.1=127.0.0.1:1025", 0},
		{"bad.example", "", fault.Temporary},
		{"plain.example", "plain.example", 0},
		{"back.example", "front.back.example", 0},
		{"[192.0.2.9]", "192.0.2.9=192.0.2.9:25", 0},
		{"[IPv6:2001:db8::1]", "2001:db8::1=[2001:db8::1]:25", 0},
		{"[127.0.0.1]", "", fault.NotFound},
		{"null.example", "", fault.NotFound},
		{"nowhere.example", "", fault.NotFound},
		{"junk.example", "", fault.NotFound},
		{"loop.example", "", fault.Denied},
		{"two words", "", fault.NotFound},
		{"", "", fault.NotFound},
	} {
		got, err := r.resolve(context.Background(), tt.domain)
		var names []string
		for _, g := range got {
			n := g.host
			if g.addr != "" {
				n += "=" + g.addr
			}
			names = append(names, n)
		}
		if strings.Join(names, " ") != tt.want {
			t.Errorf("%s: %v (%v)", tt.domain, names, err)
		}
		if tt.want != "" {
			continue
		}
		var se *sendError
		if !errors.As(err, &se) || se.kind != tt.kind {
			t.Errorf("%s: %v", tt.domain, err)
			continue
		}
		if noDomain := errors.Is(err, pipeline.ErrNoDomain); noDomain != (tt.kind == fault.NotFound) {
			t.Errorf("%s: ErrNoDomain %v", tt.domain, noDomain)
		}
	}
	if got, _ := r.resolve(context.Background(), "many.example"); len(got) != maxHosts {
		t.Errorf("%d hosts", len(got))
	}
	r.cfg.Resolver = fakeDNS{down: true}
	if _, err := r.resolve(context.Background(), "beta.example"); asSendError(err).kind != fault.Temporary {
		t.Errorf("DNS down: %v", err)
	}
}

func manyMX(n int) (out []*net.MX) {
	for i := range n {
		out = append(out, &net.MX{Host: fmt.Sprintf("mx%d.many.example.", i), Pref: uint16(i)})
	}
	return out
}

func TestResolve_Addresses(t *testing.T) {
	r := &Relay{cfg: RelayConfig{Resolver: fakeDNS{host: map[string][]string{
		"good.example.": {"127.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "0.0.0.0", "169.254.1.1", "::ffff:127.0.0.1", "10.0.0.1"},
		"self.example.": {"127.0.0.1"},
	}}}.withDefaults()}
	got, err := r.addresses(context.Background(), target{host: "good.example"})
	if fmt.Sprint(got) != "[192.0.2.1:25 [2001:db8::1]:25 10.0.0.1:25]" {
		t.Error(got, err)
	}
	for _, host := range []string{"self.example", "absent.example", "127.0.0.1"} {
		if _, err := r.addresses(context.Background(), target{host: host}); asSendError(err).kind != fault.Temporary {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// The whole way by MX: the first server is down, the second refuses to talk,
// the third takes the message.
func TestRelay_NextServer(t *testing.T) {
	bad, good := &mailer{greeting: "554 go away"}, &mailer{tls: true}
	badAddr, goodAddr := listen(t, bad.serve), listen(t, good.serve)
	dns := fakeDNS{
		mx: map[string][]*net.MX{"beta.example.": {
			{Host: "down.beta.example.", Pref: 1}, {Host: "bad.beta.example.", Pref: 2}, {Host: "mx.beta.example.", Pref: 3},
		}},
		host: map[string][]string{
			"down.beta.example.": {"192.0.2.1"}, "bad.beta.example.": {"192.0.2.2"}, "mx.beta.example.": {"192.0.2.66", "192.0.2.3"},
		},
	}
	r := relayTo(t, "", func(c *RelayConfig) {
		c.Routes, c.Resolver, c.VerifyTLS = nil, dns, VerifyPeer
		c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			to, ok := map[string]string{"192.0.2.2:25": badAddr, "192.0.2.3:25": goodAddr}[addr]
			if !ok {
				return nil, errors.New("connection refused")
			}
			return (&net.Dialer{}).DialContext(ctx, network, to)
		}
	})
	wantKinds(t, send(t, r, dispatch("a\r\n", "x@beta.example")), "ok")
	if bad.conns.Load() != 1 || len(good.bodies()) != 1 {
		t.Errorf("%d, %d", bad.conns.Load(), len(good.bodies()))
	}
	d := dispatch("a\r\n", "x@nowhere.example")
	d.Domain = "nowhere.example"
	res := send(t, r, d)
	wantKinds(t, res, "not found")
	if !errors.Is(res[0].Err, pipeline.ErrNoDomain) {
		t.Errorf("cause %v", res[0].Err)
	}
}
