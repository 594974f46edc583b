// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// ldap is an OpenLDAP server with the scheme of the index, in a folder of its own.
type ldap struct {
	t    testing.TB
	dir  string
	addr string // "" while no server runs
}

const (
	ldapAdmin  = "cn=admin,o=postacert"
	ldapSecret = "prova"
)

// newLDAP makes an empty database. schema is the file with the scheme.
func newLDAP(t testing.TB, schema string) *ldap {
	t.Helper()
	l := &ldap{t: t, dir: t.TempDir()}
	abs, err := filepath.Abs(schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(l.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.write("slapd.conf", fmt.Sprintf(`include /etc/ldap/schema/core.schema
include %s
pidfile %[2]s/pid
modulepath /usr/lib/ldap
moduleload back_mdb
sizelimit unlimited
database mdb
directory %[2]s/db
maxsize 268435456
suffix "o=postacert"
rootdn "%s"
rootpw %s
access to * by * read
`, abs, l.dir, ldapAdmin, ldapSecret))
	return l
}

func (l *ldap) write(name, content string) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// slapadd loads a file into the database of a server that does not run.
func (l *ldap) slapadd(ldif []byte, flags ...string) {
	l.t.Helper()
	run(l.t, l.dir, "slapadd", append(flags, "-f", "slapd.conf", "-l", l.write("load.ldif", string(ldif)))...)
}

// serve starts the server on the loopback, until the test ends.
func (l *ldap) serve() {
	l.t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.addr = free.Addr().String()
	if err := free.Close(); err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(tool(l.t, "slapd"), "-d", "0", "-h", "ldap://"+l.addr, "-f", "slapd.conf")
	cmd.Dir = l.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			l.t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			l.t.Errorf("slapd: %v\n%s", err, out.Bytes())
		}
	})
	for range 500 {
		c, err := net.Dial("tcp", l.addr)
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	l.t.Fatalf("slapd does not listen on %s\n%s", l.addr, out.Bytes())
}

// modify runs ldapadd or ldapmodify as administrator.
func (l *ldap) modify(program string, ldif []byte) {
	l.t.Helper()
	run(l.t, l.dir, program, "-x", "-D", ldapAdmin, "-w", ldapSecret, "-H", "ldap://"+l.addr, "-f", l.write("modify.ldif", string(ldif)))
}

// export is what the central system does: the whole directory as LDIF.
func (l *ldap) export() []byte {
	l.t.Helper()
	return run(l.t, l.dir, "ldapsearch", "-LLL", "-x", "-H", "ldap://"+l.addr, "-b", "o=postacert")
}

func mustRead(t testing.TB, ldif []byte) *Index {
	t.Helper()
	x, err := ReadLDIF(bytes.NewReader(ldif))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// sameIndex compares two indexes, whatever the order of entries and values.
func sameIndex(t testing.TB, got, want *Index) {
	t.Helper()
	flat := func(x *Index) []string {
		out := []string{fmt.Sprintf("%+v", x.Root())}
		for _, p := range x.Providers() {
			domains, certs := slices.Sorted(slices.Values(p.Domains)), slices.SortedFunc(slices.Values(p.Certificates), bytes.Compare)
			out = append(out, fmt.Sprintf("%q %q %q %q %q %q %x", p.Name, p.Unit, p.MailReceipt, p.LDIFLocationURL, p.Description, domains, certs))
		}
		slices.Sort(out[1:])
		return out
	}
	a, b := flat(got), flat(want)
	if len(a) != len(b) {
		t.Fatalf("%d records, want %d", len(a)-1, len(b)-1)
	}
	for i := range a {
		if a[i] != b[i] {
			t.Errorf("%.300s…\nwant %.300s…", a[i], b[i])
		}
	}
	if c := compare(got, want); c.Changes != (Changes{}) || len(c.domains)+len(c.certs) != 0 {
		t.Errorf("%+v", c)
	}
}

// TestRFC6109_4_5_FromAnLDAPServer: the index of a real LDAP server, exported,
// signed and published over HTTPS, is the one it was loaded with; a change of a
// provider's record reaches the index in use.
func TestRFC6109_4_5_FromAnLDAPServer(t *testing.T) {
	all := national(t)
	of(all, "Società Épsilon").Description = "Posta elettronica certificata – città"
	of(all, "Alfa/due").Certificates = append(of(all, "Alfa/due").Certificates, of(all, "Alfa").Certificates[0])
	for i := range 800 {
		of(all, "Gamma").Domains = append(of(all, "Gamma").Domains, fmt.Sprintf("pec.comune%d.example", i))
	}
	ldif := ldifOf(t, all)
	want := mustRead(t, ldif)

	for name, load := range map[string]func(l *ldap){
		"slapadd": func(l *ldap) { l.slapadd(ldif); l.serve() },
		"ldapadd": func(l *ldap) { l.serve(); l.modify("ldapadd", ldif) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLDAP(t, "testdata/pec.schema")
			load(l)
			export := l.export()
			x := mustRead(t, export)
			sameIndex(t, x, want)
			if w := x.Warnings(); len(w) != 0 {
				t.Errorf("warnings %q", w)
			}

			p := newPress(t)
			p.publishes(p.auth.sign(t, export))
			f := p.fetcher()
			live, err := f.First(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			sameIndex(t, live.Current(), want)

			l.modify("ldapmodify", []byte("dn: providerName=Beta,o=postacert\nchangetype: modify\nadd: managedDomains\nmanagedDomains: NUOVO.example\n"))
			p.publishes(p.auth.sign(t, l.export()))
			s, err := f.Refresh(context.Background())
			if err != nil || s.Changes != (Changes{DomainsAdded: 1}) {
				t.Fatalf("%+v, %v", s, err)
			}
			if q, ok := live.ProviderOfDomain("nuovo.example"); !ok || q.Name != "Beta" {
				t.Errorf("%v %q", ok, q.Name)
			}
		})
	}
}

// TestSampleIndexThroughLDAP does the same with a scheme and an index that
// others wrote, where they are at hand.
func TestSampleIndexThroughLDAP(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "samples", "index")
	ldif, err := os.ReadFile(filepath.Join(dir, "igpec_sample.ldif"))
	if err != nil {
		t.Skip("the sample index is not here:", err)
	}
	for _, schema := range []string{filepath.Join(dir, "pec-rfc6109.schema"), "testdata/pec.schema"} {
		l := newLDAP(t, schema)
		l.serve()
		l.modify("ldapadd", ldif)
		sameIndex(t, mustRead(t, l.export()), mustRead(t, ldif))
	}
}
