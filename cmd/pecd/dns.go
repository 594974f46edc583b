// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"pecd/autoconf"
)

type domainDNSCmd struct {
	nodeFlag
	Name string `arg:"" help:"Domain of this provider, certified or not yet."`
	JSON bool   `help:"Print JSON."`
}

// Run prints what a domain's zone needs.
func (c *domainDNSCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "domain dns", c, openStore)
}

// domainDNS is what a domain needs.
type domainDNS struct {
	Domain  string            `json:"domain"`
	Records []autoconf.Record `json:"records"`
	// Uncovered are names by which clients ask over HTTPS, and which the
	// certificate of [tls] is not for.
	Uncovered []string `json:"uncovered"`
}

func (c *domainDNSCmd) do(ctx context.Context, k call) error {
	d, err := k.node.users.Domain(ctx, c.Name)
	if err != nil {
		return err
	}
	site, err := k.node.cfg.site()
	if err != nil {
		return err
	}
	out := domainDNS{Domain: d.Name, Records: site.Records(d.Name), Uncovered: []string{}}
	if site.HTTPS.Offered() {
		if out.Uncovered, err = k.node.uncovered(append(autoconf.Aliases(d.Name), site.HTTPS.Host)); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(out)
	}
	if err := autoconf.WriteZone(k.out, out.Domain, out.Records); err != nil {
		return err
	}
	if len(out.Uncovered) > 0 {
		_, err = fmt.Fprintf(k.out, "; the certificate of [tls] is not for %s: there, clients get no further than listen.http's redirection\n",
			strings.Join(out.Uncovered, ", "))
	}
	return err
}

// uncovered are the names for which the listeners' certificate is not.
func (n *node) uncovered(names []string) ([]string, error) {
	cert := n.tlsCert
	if cert == nil { // a node that does not run
		var err error
		if cert, err = loadServerCertificate(n.cfg.path(n.cfg.TLS.Certificate), n.cfg.path(n.cfg.TLS.Key)); err != nil {
			return nil, err
		}
	}
	out := []string{}
	for _, name := range names {
		if err := cert.current.Load().Leaf.VerifyHostname(name); err != nil {
			out = append(out, name)
		}
	}
	return out, nil
}
