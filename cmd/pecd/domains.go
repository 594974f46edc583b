// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"encoding/json"
	"fmt"

	"pecd/storage"
)

type domainCmd struct {
	Add     domainAddCmd     `cmd:"" help:"Add a domain. / Aggiunge un dominio."`
	Certify domainCertifyCmd `cmd:"" help:"Certify a pending domain; its mailboxes become active. / Certifica un dominio e attiva le sue caselle."`
	Set     domainSetCmd     `cmd:"" help:"Say which body a domain belongs to. / Assegna un dominio a un ente."`
	List    domainListCmd    `cmd:"" help:"List the domains."`
	DNS     domainDNSCmd     `cmd:"" name:"dns" help:"Print the DNS records a domain needs, as lines of a zone file."`
}

type domainAddCmd struct {
	nodeFlag
	Name    string `arg:"" help:"Domain name."`
	Pending bool   `help:"It is not certified yet: its mailboxes are provisioned, its mail goes to the provider that has it. / Non ancora certificato."`
	Body    string `placeholder:"CODE" help:"The body that it belongs to. / Ente."`
}

// Run adds the domain.
func (c *domainAddCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "domain add", c, openStore)
}

func (c *domainAddCmd) do(ctx context.Context, k call) error {
	state := storage.DomainCertified
	if c.Pending {
		state = storage.DomainPending
	}
	if c.Body != "" {
		if _, err := k.node.users.Body(ctx, c.Body); err != nil {
			return err
		}
	}
	if err := k.node.users.CreateDomain(ctx, c.Name, state); err != nil || c.Body == "" {
		return err
	}
	return k.node.users.SetDomainBody(ctx, c.Name, c.Body)
}

type domainListCmd struct {
	nodeFlag
	JSON bool `help:"Print JSON."`
}

// Run lists the domains.
func (c *domainListCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "domain list", c, openStore)
}

func (c *domainListCmd) do(ctx context.Context, k call) error {
	all, err := k.node.store.Domains(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(k.out).Encode(all)
	}
	for _, d := range all {
		if _, err := fmt.Fprintf(k.out, "%s\t%s\t%s\n", d.Name, d.State, d.Customer); err != nil {
			return err
		}
	}
	return nil
}

type domainCertifyCmd struct {
	nodeFlag
	Name string `arg:"" help:"Domain name."`
}

// Run certifies the domain.
func (c *domainCertifyCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "domain certify", c, openStore)
}

func (c *domainCertifyCmd) do(ctx context.Context, k call) error {
	return k.node.users.CertifyDomain(ctx, c.Name)
}

type domainSetCmd struct {
	nodeFlag
	Name string `arg:"" help:"Domain name."`
	Body string `required:"" placeholder:"CODE" help:"The body that it belongs to; \"none\" for no body. / Ente."`
}

// Run gives the domain to the body.
func (c *domainSetCmd) Run(e *env) error {
	return c.perform(e, e.stdout, "domain set", c, openStore)
}

func (c *domainSetCmd) do(ctx context.Context, k call) error {
	body := c.Body
	if body == "none" {
		body = ""
	}
	return k.node.users.SetDomainBody(ctx, c.Name, body)
}
