// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A real client against the submission listener, both ways to TLS and both
// mechanisms.
func TestSubmission_Swaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Fatal("swaks is missing: apt-get install -y swaks libnet-ssleay-perl")
	}
	body := "Date: Wed, 03 Jun 2026 10:15:05 +0200\r\nFrom: rossi@alfa.example\r\nTo: bianchi@beta.example\r\nSubject: prova\r\n\r\n.una riga col punto\r\n..due\r\n"
	file := filepath.Join(t.TempDir(), "message.eml")
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		implicit bool
		args     []string
		refused  bool
	}{
		{"STARTTLS LOGIN", false, []string{"--tls", "--auth", "LOGIN"}, false},
		{"STARTTLS PLAIN", false, []string{"--tls", "--auth", "PLAIN"}, false},
		{"TLS LOGIN", true, []string{"--tls-on-connect", "--auth", "LOGIN"}, false},
		{"TLS PLAIN pipelined", true, []string{"--tls-on-connect", "--auth", "PLAIN", "--pipeline"}, false},
		{"no TLS", false, []string{"--auth", "PLAIN"}, true},
		{"wrong password", false, []string{"--tls", "--auth", "PLAIN", "--auth-password", "sbagliata"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &fakePoint{}
			addr := serve(t, NewSubmission(quiet(ServerConfig{}), fakeAuth{}, p), tt.implicit)
			args := append([]string{
				"--server", addr, "--from", "rossi@alfa.example", "--to", "bianchi@beta.example",
				"--auth-user", testLogin, "--auth-password", testPassword, "--data", "@" + file, "--timeout", "10",
			}, tt.args...)
			out, err := exec.CommandContext(t.Context(), swaks, args...).CombinedOutput()
			if refused := err != nil; refused != tt.refused {
				t.Fatalf("swaks: %v\n%s", err, out)
			}
			if tt.refused {
				if len(p.messages()) != 0 {
					t.Error("kept")
				}
				return
			}
			if !strings.Contains(string(out), "250 2.6.0 accettato") {
				t.Errorf("no 250:\n%s", out)
			}
			got := p.messages()
			if len(got) != 1 || got[0].login != testLogin {
				t.Fatalf("took %+v", got)
			}
			// swaks ends the message with one empty line more.
			if m := string(got[0].message); strings.TrimSuffix(m, "\r\n") != body && m != body {
				t.Errorf("message %q", m)
			}
		})
	}
}
