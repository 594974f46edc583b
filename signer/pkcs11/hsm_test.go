// SPDX-License-Identifier: EUPL-1.2

package pkcs11_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pecd/alarm"
	"pecd/clock"
	"pecd/signer/pkcs11"
)

const (
	softHSM = "/usr/lib/softhsm/libsofthsm2.so"
	pin     = "2468-segreto"
)

// hsm is a SoftHSM of a test's own. The library reads its configuration when it
// is initialised, so that these tests run one after the other.
type hsm struct {
	t   testing.TB
	dir string
}

func newHSM(t testing.TB) *hsm {
	t.Helper()
	h := &hsm{t: t, dir: t.TempDir()}
	tokens := filepath.Join(h.dir, "tokens")
	must(t, os.Mkdir(tokens, 0o700))
	conf := filepath.Join(h.dir, "softhsm2.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", tokens), 0o600))
	t.Setenv("SOFTHSM2_CONF", conf)
	return h
}

// run runs a program that the tests need.
func (h *hsm) run(program string, args ...string) {
	h.t.Helper()
	pkg := map[string]string{"softhsm2-util": "softhsm2", "gcc": "gcc"}[program]
	path, err := exec.LookPath(program)
	if err != nil {
		h.t.Fatalf("%s is missing: apt-get install %s", program, pkg)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		h.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// token makes a token and brings the key into it.
func (h *hsm) token(label string, keys ...crypto.Signer) {
	h.t.Helper()
	h.run("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", pin, "--pin", pin)
	for i, key := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		must(h.t, err)
		file := filepath.Join(h.dir, "key.pem")
		must(h.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
		h.run("softhsm2-util", "--import", file, "--token", label, "--label", "pec", "--id", fmt.Sprintf("%02x", i+1), "--pin", pin)
	}
}

// proxy returns a library in front of SoftHSM that fails as it is told.
func (h *hsm) proxy(name string) string {
	h.t.Helper()
	h.t.Setenv("PROXY_MODULE", softHSM)
	lib := filepath.Join(h.dir, name+".so")
	h.run("gcc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", lib, "testdata/proxy.c", "-ldl")
	return lib
}

// mode tells a proxy how to fail; 'o' is not at all.
func (h *hsm) mode(lib string, m byte) {
	h.t.Helper()
	must(h.t, os.WriteFile(lib+".new", []byte{m}, 0o600))
	must(h.t, os.Rename(lib+".new", lib+".mode"))
}

// logins is how often a proxy was asked to log in.
func (h *hsm) logins(lib string) int {
	b, err := os.ReadFile(lib + ".logins")
	must(h.t, err)
	return len(b)
}

func at(module, label string) pkcs11.TokenConfig {
	return pkcs11.TokenConfig{Module: module, Label: label, KeyLabel: "pec", PIN: []byte(pin), Sessions: 2}
}

// opened is an open key and what it tells.
type opened struct {
	*pkcs11.Key
	board *alarm.Board
	log   *safeBuffer
}

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func config(pub crypto.PublicKey, tokens ...pkcs11.TokenConfig) (pkcs11.Config, *alarm.Board, *safeBuffer) {
	b := &safeBuffer{}
	logger := slog.New(slog.NewTextHandler(b, nil))
	board := alarm.NewBoard(clock.System{}, logger)
	return pkcs11.Config{
		Tokens: tokens, Public: pub, Timeout: 20 * time.Second, Retry: 50 * time.Millisecond,
		Clock: clock.System{}, Alarms: board, Logger: logger,
	}, board, b
}

func open(t *testing.T, pub crypto.PublicKey, tokens ...pkcs11.TokenConfig) *opened {
	t.Helper()
	cfg, board, log := config(pub, tokens...)
	k, err := pkcs11.Open(cfg)
	must(t, err)
	t.Cleanup(func() { k.Close() })
	return &opened{k, board, log}
}

// alarmText is the text of the alarm, "" where it is not raised.
func (o *opened) alarmText() string {
	for _, a := range o.board.Raised() {
		if a.Name == alarm.SigningToken {
			return a.Text
		}
	}
	return ""
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 2400 {
		if so() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("not within a minute: %s", what)
}
