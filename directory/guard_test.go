// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// national is a small index of five providers: Alfa, which has a secondary
// environment, and four more with four domains each.
func national(t testing.TB) []Provider {
	t.Helper()
	var all []Provider
	for _, name := range []string{"Alfa", "Beta", "Gamma", "Delta", "Società Épsilon"} {
		host := fmt.Sprintf("g%d.example", len(all))
		p := Provider{Name: name, MailReceipt: "ricevute@" + host, LDIFLocationURL: "https://" + host + "/g.ldif.p7m", Certificates: [][]byte{testCertificate(t, host)}}
		for i := range 4 {
			p.Domains = append(p.Domains, fmt.Sprintf("comune%d.%s", i, host))
		}
		all = append(all, p)
	}
	unit := Provider{Name: "Alfa", Unit: "due", MailReceipt: "ricevute@due.example", Certificates: [][]byte{testCertificate(t, "due")}, Domains: []string{"due.example"}}
	return slices.Insert(all, 1, unit)
}

// edited returns a copy that shares nothing that an edit could change.
func edited(all []Provider, edit func(all []Provider) []Provider) []Provider {
	all = slices.Clone(all)
	for i := range all {
		all[i].Certificates = slices.Clone(all[i].Certificates)
		all[i].Domains = slices.Clone(all[i].Domains)
	}
	return edit(all)
}

// of returns the record of a provider or, with "name/unit", of an environment.
func of(all []Provider, name string) *Provider {
	name, unit, _ := strings.Cut(name, "/")
	return &all[slices.IndexFunc(all, func(p Provider) bool { return p.Name == name && p.Unit == unit })]
}

func ldifOf(t testing.TB, all []Provider) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WriteLDIF(&b, RootEntry{LDIFLocationURL: "https://igpec.example/igpec.ldif.p7m"}, all); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func indexOf(t testing.TB, all []Provider) *Index {
	t.Helper()
	x, err := ReadLDIF(bytes.NewReader(ldifOf(t, all)))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func without(all []Provider, name string) []Provider {
	return slices.DeleteFunc(all, func(p Provider) bool { return p.Name == name })
}

// TestRFC6109_7_Guard: what may replace the index in use, and why not.
func TestRFC6109_7_Guard(t *testing.T) {
	base := national(t)
	fresh := testCertificate(t, "fresh")
	published := edited(base[:2], func(all []Provider) []Provider { return all })
	for name, c := range map[string]struct {
		old       func(all []Provider) []Provider // nil: as it is
		edit      func(all []Provider) []Provider
		published func(all []Provider) []Provider // nil: not known
		want      []string                        // parts of the findings, in order; none: taken over
	}{
		"the same": {edit: func(all []Provider) []Provider { return all }},
		"other order": {edit: func(all []Provider) []Provider {
			slices.Reverse(all)
			return all
		}},
		"renewal begins": {edit: func(all []Provider) []Provider {
			of(all, "Beta").Certificates = append(of(all, "Beta").Certificates, fresh)
			return all
		}},
		"renewal ends": {
			old: func(all []Provider) []Provider {
				of(all, "Beta").Certificates = append(of(all, "Beta").Certificates, fresh)
				return all
			},
			edit: func(all []Provider) []Provider {
				of(all, "Beta").Certificates = [][]byte{fresh}
				return all
			}},
		"new provider, domain and environment": {edit: func(all []Provider) []Provider {
			of(all, "Beta").Domains = append(of(all, "Beta").Domains, "new.example")
			return append(all, Provider{Name: "Zeta", MailReceipt: "r@zeta.example", Certificates: [][]byte{fresh}, Domains: []string{"zeta.example"}},
				Provider{Name: "Zeta", Unit: "z", MailReceipt: "r@z.example", Certificates: [][]byte{fresh}, Domains: []string{"z.example"}})
		}},
		"a domain and a certificate move between environments of one provider": {edit: func(all []Provider) []Provider {
			u := Provider{Name: "Beta", Unit: "b", MailReceipt: "r@b.example", Certificates: of(all, "Beta").Certificates, Domains: of(all, "Beta").Domains[:2]}
			of(all, "Beta").Certificates, of(all, "Beta").Domains = [][]byte{fresh}, of(all, "Beta").Domains[2:]
			return append(all, u)
		}},
		"one of five providers": {edit: func(all []Provider) []Provider { return without(all, "Delta") }},
		"two of five providers": {
			edit: func(all []Provider) []Provider { return without(without(all, "Delta"), "Beta") },
			want: []string{`2 of 5 providers are gone, ["Beta" "Delta"] among them`, `8 of 21 domains are gone`}},
		"one of two providers": {
			old:  func(all []Provider) []Provider { return all[:3] },
			edit: func(all []Provider) []Provider { return all[:2] },
			want: []string{`1 of 2 providers are gone, ["Beta"] among them`, `4 of 9 domains`}},
		"others instead": {
			edit: func(all []Provider) []Provider {
				all = without(without(all, "Delta"), "Beta")
				for i := range 3 {
					all = append(all, Provider{Name: fmt.Sprint("N", i), MailReceipt: "r@n.example", Certificates: [][]byte{testCertificate(t, "n")},
						Domains: []string{fmt.Sprintf("n%d.example", i), fmt.Sprintf("nn%d.example", i), fmt.Sprintf("nnn%d.example", i)}})
				}
				return all
			},
			want: []string{`2 of 5 providers`, `8 of 21 domains`}},
		"four of 21 domains": {edit: func(all []Provider) []Provider {
			for _, n := range []string{"Beta", "Gamma", "Delta", "Società Épsilon"} {
				of(all, n).Domains = of(all, n).Domains[1:]
			}
			return all
		}},
		"five of 21 domains": {
			edit: func(all []Provider) []Provider {
				for _, n := range []string{"Beta", "Gamma", "Delta", "Società Épsilon"} {
					of(all, n).Domains = of(all, n).Domains[1:]
				}
				of(all, "Beta").Domains = of(all, "Beta").Domains[1:]
				return all
			},
			want: []string{`5 of 21 domains are gone`}},
		"stolen domain": {
			edit: func(all []Provider) []Provider {
				d := of(all, "Beta").Domains[0]
				of(all, "Beta").Domains = of(all, "Beta").Domains[1:]
				of(all, "Società Épsilon").Domains = append(of(all, "Società Épsilon").Domains, strings.ToUpper(d))
				return all
			},
			want: []string{`domain comune0.g1.example moves from "Beta" to "Società Épsilon"`}},
		"stolen by an environment": {
			edit: func(all []Provider) []Provider {
				d := of(all, "Beta").Domains[0]
				of(all, "Beta").Domains = of(all, "Beta").Domains[1:]
				return append(all, Provider{Name: "Gamma", Unit: "x", MailReceipt: "r@x.example", Certificates: [][]byte{fresh}, Domains: []string{d}})
			},
			want: []string{`moves from "Beta" to "Gamma"`}},
		"stolen certificate": {
			edit: func(all []Provider) []Provider {
				of(all, "Delta").Certificates = append(of(all, "Delta").Certificates, of(all, "Gamma").Certificates[0])
				of(all, "Gamma").Certificates = [][]byte{fresh}
				return all
			},
			want: []string{fmt.Sprintf(`certificate %s moves from "Gamma" to "Delta"`, fingerprint(of(base, "Gamma").Certificates[0]))}},
		"ours is missing": {edit: func(all []Provider) []Provider { return without(all, "Alfa") }, want: []string{`5 of 21`, `our own record "ALFA" is missing`}},
		"our environment is missing": {
			edit: func(all []Provider) []Provider { return slices.Delete(all, 1, 2) },
			want: []string{`our own record lost certificate ` + fingerprint(base[1].Certificates[0]), `lost domain due.example`, `environment "due" is missing`}},
		"our domain is missing": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Domains = of(all, "Alfa").Domains[1:]
				return all
			},
			want: []string{`our own record lost domain comune0.g0.example`}},
		"our certificate is another": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = [][]byte{fresh}
				return all
			},
			want: []string{`our own record lost certificate`, `our own record has an unknown certificate, ` + fingerprint(fresh)}},
		"an unknown certificate with ours": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = append(of(all, "Alfa").Certificates, fresh)
				return all
			},
			published: func(all []Provider) []Provider { return all },
			want:      []string{`our own record has an unknown certificate, ` + fingerprint(fresh)}},
		"an unknown environment of ours": {
			edit: func(all []Provider) []Provider {
				return append(all, Provider{Name: "Alfa", Unit: "tre", MailReceipt: "r@evil.example", Certificates: of(all, "Alfa").Certificates, Domains: []string{"tre.example"}})
			},
			want: []string{`unknown secondary environment in our own record, "tre"`}},
		"our mailReceipt is another": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa/due").MailReceipt = "r@evil.example"
				return all
			},
			want: []string{`our own mailReceipt is r@evil.example, it was ricevute@due.example`}},
		"a domain more of ours": {edit: func(all []Provider) []Provider {
			of(all, "Alfa").Domains = append(of(all, "Alfa").Domains, "new.example")
			return all
		}},
		"our renewal, as published": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = append(of(all, "Alfa").Certificates, fresh)
				return all
			},
			published: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = append(of(all, "Alfa").Certificates, fresh)
				return all
			}},
		"our domain, environment and certificate withdrawn, as published": {
			old: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = append(of(all, "Alfa").Certificates, fresh)
				return all
			},
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").MailReceipt = "new@g0.example"
				of(all, "Alfa").Domains = of(all, "Alfa").Domains[1:]
				return slices.Delete(all, 1, 2)
			},
			published: func(all []Provider) []Provider {
				of(all, "Alfa").MailReceipt = "new@g0.example"
				of(all, "Alfa").Domains = of(all, "Alfa").Domains[1:]
				return all[:1]
			}},
		"withdrawn from ours while we publish it": {
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Domains = of(all, "Alfa").Domains[1:]
				return slices.Delete(all, 1, 2)
			},
			published: func(all []Provider) []Provider { return all },
			want:      []string{`lost certificate`, `lost domain comune0.g0.example`, `lost domain due.example`, `"due" is missing`}},
		"we are listed": {
			old:  func(all []Provider) []Provider { return all[2:] },
			edit: func(all []Provider) []Provider { return all }},
		"we are listed with a certificate that is not ours": {
			old: func(all []Provider) []Provider { return all[2:] },
			edit: func(all []Provider) []Provider {
				of(all, "Alfa").Certificates = [][]byte{fresh}
				return all
			},
			published: func(all []Provider) []Provider { return all },
			want:      []string{`unknown certificate`}},
	} {
		t.Run(name, func(t *testing.T) {
			same := func(all []Provider) []Provider { return all }
			if c.old == nil {
				c.old = same
			}
			g := guard{maxLoss: defaultMaxLoss, own: "ALFA"}
			if c.published != nil {
				g.published = edited(published, c.published)
			}
			old, new := indexOf(t, edited(base, c.old)), indexOf(t, edited(base, c.edit))
			found := g.judge(old, new, compare(old, new))
			for i, f := range found {
				if f.it == "" || f.it == f.en || i < len(c.want) && !strings.Contains(f.en, c.want[i]) {
					t.Errorf("%d: %q / %q", i, f.it, f.en)
				}
			}
			if len(found) != len(c.want) {
				t.Errorf("%d findings, want %d", len(found), len(c.want))
			}
		})
	}
}

// TestGuardFirstIndex: without an index in use, ours must be in the first one.
func TestGuardFirstIndex(t *testing.T) {
	x := indexOf(t, national(t))
	for own, ok := range map[string]bool{"": true, "beta": true, "Omega": false} {
		g := guard{maxLoss: defaultMaxLoss, own: own}
		if found := g.judge(nil, x, compare(nil, x)); (len(found) == 0) != ok {
			t.Errorf("%q: %v", own, found)
		}
	}
}

// TestGuardGoesByTheDN: providerName is free text; a record that calls itself by
// another provider's name does not become that provider.
func TestGuardGoesByTheDN(t *testing.T) {
	a, b := testCertificate(t, "a"), testCertificate(t, "b")
	read := func(s string) *Index {
		x, err := ReadLDIF(strings.NewReader(rootLDIF + s))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	old := read(record(a, "Alfa", "alfa.example", "managedDomains", "managedDomains: two.example\nmanagedDomains") + record(b, "Evil", "evil.example"))
	new := read(record(a, "Alfa", "alfa.example") + record(b, "Evil", "evil.example", "providerName: Evil", "providerName: Alfa", "managedDomains", "managedDomains: two.example\nmanagedDomains"))
	found := guard{maxLoss: defaultMaxLoss}.judge(old, new, compare(old, new))
	if len(found) != 1 || !strings.Contains(found[0].en, `domain two.example moves from "Alfa" to "Evil"`) {
		t.Errorf("%q", found)
	}
}

// TestGuardTellsAFew: a refusal stays short, however much is wrong.
func TestGuardTellsAFew(t *testing.T) {
	base := national(t)
	new := edited(base, func(all []Provider) []Provider {
		of(all, "Gamma").Domains = append(of(all, "Gamma").Domains, append(of(all, "Beta").Domains, of(all, "Delta").Domains...)...)
		of(all, "Beta").Domains, of(all, "Delta").Domains = nil, nil
		return all
	})
	old := indexOf(t, base)
	found := guard{maxLoss: defaultMaxLoss}.judge(old, indexOf(t, new), compare(old, indexOf(t, new)))
	if len(found) != toldSingly+1 || found[toldSingly].en != "and 3 more" {
		t.Errorf("%q", found)
	}
	text := (&refusal{found}).text()
	if it, en, ok := strings.Cut(text, " / "); !ok || !strings.HasPrefix(it, "il dominio") || !strings.HasPrefix(en, "domain") || strings.Count(text, ";") != 2*toldSingly {
		t.Errorf("%q", text)
	}
}

func TestCompareCounts(t *testing.T) {
	base := national(t)
	c := compare(nil, indexOf(t, base)).Changes
	if want := (Changes{ProvidersAdded: 5, DomainsAdded: 21, CertificatesAdded: 6}); c != want {
		t.Errorf("from nothing: %+v", c)
	}
	new := edited(base, func(all []Provider) []Provider {
		of(all, "Alfa/due").Certificates = append(of(all, "Alfa/due").Certificates, of(all, "Alfa").Certificates[0]) // shared: no new one
		of(all, "Beta").Domains = append(of(all, "Beta").Domains[2:], "new.example")
		of(all, "Beta").Certificates = [][]byte{testCertificate(t, "b")}
		return append(without(all, "Delta"), Provider{Name: "Zeta", MailReceipt: "r@z.example", Certificates: [][]byte{testCertificate(t, "z")}})
	})
	c = compare(indexOf(t, base), indexOf(t, new)).Changes
	if want := (Changes{1, 1, 1, 6, 2, 2}); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
}

func TestGuardRollback(t *testing.T) {
	now := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		signed, newest time.Time
		want           string
	}{
		"later":           {now, now.Add(-time.Hour), ""},
		"the same second": {now, now, ""},
		"earlier":         {now.Add(-25 * time.Hour), now.Add(-time.Hour), "signed at 2026-06-02 09:00:00 UTC, before the one in use, of 2026-06-03 09:00:00 UTC"},
		"no times":        {time.Time{}, time.Time{}, ""},
		"first time":      {now, time.Time{}, ""},
		"no time now":     {time.Time{}, now, "signed without a time"},
		"clocks differ":   {now.Add(signedAhead), now, ""},
		"future":          {now.Add(signedAhead + time.Second), now, "signed in the future"},
	} {
		var f findings
		f.rollback(c.signed, c.newest, now)
		if len(f) > 1 || (c.want == "") != (len(f) == 0) || len(f) == 1 && !strings.Contains(f[0].en, c.want) {
			t.Errorf("%s: %q", name, f)
		}
	}
}
