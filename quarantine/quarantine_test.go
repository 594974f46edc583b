// SPDX-License-Identifier: EUPL-1.2

package quarantine_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pecd/fault"
	"pecd/quarantine"
)

const (
	chunk     = 64 << 10       // of the message
	encrypted = chunk + 16     // the same, encrypted
	someSize  = 2*chunk + 1000 // two full chunks and a last one
)

// newKey returns a keeper and the identity that reads what it encrypts.
func newKey(t testing.TB) (*quarantine.Keeper, quarantine.Identity) {
	t.Helper()
	file, recipient, err := quarantine.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	k, err := quarantine.NewKeeper(recipient)
	if err != nil {
		t.Fatal(err)
	}
	id, err := quarantine.LoadIdentity(write(t, file, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return k, id
}

func write(t testing.TB, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity")
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func seal(t testing.TB, k *quarantine.Keeper, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := k.Encrypt(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(id quarantine.Identity, sealed []byte) ([]byte, error) {
	r, err := id.Decrypt(bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func message(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>8 ^ i)
	}
	return p
}

// TestR2_2_4_RoundTrip: every length around the chunks' edges comes back.
func TestR2_2_4_RoundTrip(t *testing.T) {
	k, id := newKey(t)
	for _, n := range []int{0, 1, 100, chunk - 1, chunk, chunk + 1, 2*chunk - 1, 2 * chunk, 2*chunk + 1, 5*chunk + 7} {
		plain := message(n)
		sealed := seal(t, k, plain)
		if n > 100 && bytes.Contains(sealed, plain[:64]) {
			t.Errorf("%d octets: the message is readable", n)
		}
		got, err := open(id, sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d octets: %d back, %v", n, len(got), err)
		}
	}
}

// payloadAt returns where the encrypted chunks begin.
func payloadAt(sealed []byte) int {
	mac := bytes.Index(sealed, []byte("\n--- "))
	return mac + 1 + bytes.IndexByte(sealed[mac+1:], '\n') + 1 + 16 // after the MAC's line, and the nonce
}

// TestTruncated: a file cut anywhere is never taken for the whole, and what it
// yields before the error is the beginning of the message.
func TestTruncated(t *testing.T) {
	k, id := newKey(t)
	plain := message(someSize)
	sealed := seal(t, k, plain)
	start := payloadAt(sealed)
	cuts := []int{0, 1, 20, start - 17, start - 1}
	for c := start; c < len(sealed); c += encrypted {
		cuts = append(cuts, c-1, c, c+1, c+15, c+16, c+17, c+1000)
	}
	cuts = append(cuts, len(sealed)-16, len(sealed)-1)
	for _, c := range cuts {
		got, err := open(id, sealed[:c])
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.TextOf(err), "tronca") {
			t.Errorf("cut at %d (chunks begin at %d): %v, text %q", c, start, err, fault.TextOf(err))
		}
		if !bytes.HasPrefix(plain, got) || len(got) >= len(plain) {
			t.Errorf("cut at %d: %d octets that are not the beginning of the message", c, len(got))
		}
	}
	if _, err := open(id, append(bytes.Clone(sealed), 0)); !fault.Is(err, fault.Invalid) {
		t.Errorf("an octet too many: %v", err)
	}
}

// TestBitFlips: one altered bit at any edge, in the header or in a chunk, is
// noticed before an altered octet of the message comes out.
func TestBitFlips(t *testing.T) {
	k, id := newKey(t)
	plain := message(someSize)
	sealed := seal(t, k, plain)
	start := payloadAt(sealed)
	var at []int
	for i := range start { // all of the header and the nonce
		at = append(at, i)
	}
	for c := start; c < len(sealed); c += encrypted {
		end := min(c+encrypted, len(sealed))
		at = append(at, c, c+1, (c+end)/2, end-17, end-16, end-1)
	}
	for _, i := range at {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(sealed)
			bad[i] ^= bit
			got, err := open(id, bad)
			if k := fault.KindOf(err); err == nil || k != fault.Invalid && (k != fault.Denied || i >= start) {
				t.Errorf("bit %#x at %d (chunks begin at %d): %v", bit, i, start, err)
			}
			if text := fault.TextOf(err); !strings.Contains(text, "alterat") {
				t.Errorf("bit %#x at %d: text %q", bit, i, text)
			}
			if !bytes.HasPrefix(plain, got) || len(got) > max(0, (i-start)/encrypted*chunk) {
				t.Errorf("bit %#x at %d: %d octets came out", bit, i, len(got))
			}
		}
	}
	// Whole chunks that change places.
	bad := bytes.Clone(sealed)
	copy(bad[start:], sealed[start+encrypted:start+2*encrypted])
	copy(bad[start+encrypted:], sealed[start:start+encrypted])
	if got, err := open(id, bad); !fault.Is(err, fault.Invalid) || len(got) != 0 {
		t.Errorf("swapped chunks: %d octets, %v", len(got), err)
	}
}

func TestWrongIdentity(t *testing.T) {
	k, _ := newKey(t)
	_, other := newKey(t)
	_, err := open(other, seal(t, k, []byte("x")))
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.TextOf(err), "secret key") {
		t.Errorf("%v, text %q", err, fault.TextOf(err))
	}
	if _, err := open(quarantine.Identity{}, seal(t, k, []byte("x"))); err == nil {
		t.Error("an identity without keys reads")
	}
}

// TestNotOurs: files that are no age files, or claim a header without end.
func TestNotOurs(t *testing.T) {
	_, id := newKey(t)
	endless := "age-encryption.org/v1\n" + strings.Repeat("-> x y\n\n", 1<<20)
	for _, in := range []string{"", "x", "From: a@b.it\r\n\r\nx\r\n", strings.Repeat("x", 1<<20), endless} {
		in := strings.NewReader(in)
		size := in.Len()
		if _, err := id.Decrypt(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%d octets: %v", size, err)
		}
		if read := size - in.Len(); read > 64<<10 {
			t.Errorf("%d octets of a header were read", read)
		}
	}
}

// TestChangeOfKeys: an identity file may hold the keys of before.
func TestChangeOfKeys(t *testing.T) {
	old, recipient, _ := quarantine.NewIdentity()
	fresh, _, _ := quarantine.NewIdentity()
	k, err := quarantine.NewKeeper(recipient)
	if err != nil || k.Recipient() != recipient {
		t.Fatal(err)
	}
	id, err := quarantine.LoadIdentity(write(t, append(fresh, old...), 0o400))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := open(id, seal(t, k, []byte("old"))); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLoadIdentityErrors(t *testing.T) {
	good, _, _ := quarantine.NewIdentity()
	secret := good[bytes.Index(good, []byte("AGE-SECRET")):]
	tests := []struct {
		name    string
		content []byte
		mode    os.FileMode
		kind    fault.Kind
	}{
		{"readable by the group", good, 0o640, fault.Denied},
		{"readable by all", good, 0o604, fault.Denied},
		{"empty", nil, 0o600, fault.Invalid},
		{"comments", []byte("# a\n\n"), 0o600, fault.Invalid},
		{"cut key", secret[:len(secret)-3], 0o600, fault.Invalid},
		{"altered key", bytes.Replace(secret, secret[30:31], []byte("b"), 1), 0o600, fault.Invalid},
		{"public key", []byte("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\n"), 0o600, fault.Invalid},
		{"too large", bytes.Repeat([]byte("#\n"), 40<<10), 0o600, fault.Invalid},
		{"too many", bytes.Repeat(secret, 65), 0o600, fault.Invalid},
	}
	for _, tt := range tests {
		path := write(t, tt.content, tt.mode)
		_, err := quarantine.LoadIdentity(path)
		if !fault.Is(err, tt.kind) || !strings.Contains(err.Error(), path) || !strings.Contains(fault.TextOf(err), path) {
			t.Errorf("%s: %v, text %q", tt.name, err, fault.TextOf(err))
		}
		if strings.Contains(strings.ToUpper(err.Error()+fault.TextOf(err)), "AGE-SECRET-KEY-1") {
			t.Errorf("%s: the error quotes the key", tt.name)
		}
	}
	if _, err := quarantine.LoadIdentity(filepath.Join(t.TempDir(), "none")); !fault.Is(err, fault.NotFound) {
		t.Errorf("missing: %v", err)
	}
}

// TestNewKeeperErrors: a secret key put where the public one belongs is not
// quoted either.
func TestNewKeeperErrors(t *testing.T) {
	file, _, _ := quarantine.NewIdentity()
	secret := strings.TrimSpace(string(file[bytes.Index(file, []byte("AGE-SECRET")):]))
	for _, recipient := range []string{"", "age1", "x", secret} {
		_, err := quarantine.NewKeeper(recipient)
		if !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), secret) {
			t.Errorf("recipient %q: %v", recipient, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
func (f failing) Read([]byte) (int, error)  { return 0, f.err }

// TestErrorsOfTheDisk: what fails below is not taken for an altered message.
func TestErrorsOfTheDisk(t *testing.T) {
	k, id := newKey(t)
	cause := errors.New("disk broken")
	for kind, err := range map[fault.Kind]error{fault.Temporary: cause, fault.TooLarge: fault.New("disk", fault.TooLarge, cause)} {
		if _, got := k.Encrypt(failing{err}); !fault.Is(got, kind) || !errors.Is(got, cause) {
			t.Errorf("encrypting: %v", got)
		}
		sealed := seal(t, k, message(someSize))
		for _, n := range []int{10, 1000, chunk, len(sealed)} {
			r, got := id.Decrypt(io.MultiReader(bytes.NewReader(sealed[:n]), failing{err}))
			if got == nil {
				_, got = io.Copy(io.Discard, r)
			}
			if !fault.Is(got, kind) || !errors.Is(got, cause) {
				t.Errorf("decrypting, after %d octets: %v", n, got)
			}
		}
		var later afterHeader
		w, werr := k.Encrypt(&later)
		if werr != nil {
			t.Fatal(werr)
		}
		later.err = err
		if _, got := w.Write(message(someSize)); !fault.Is(got, kind) || !errors.Is(got, cause) {
			t.Errorf("writing: %v", got)
		}
		if got := w.Close(); !fault.Is(got, kind) || !errors.Is(got, cause) {
			t.Errorf("closing: %v", got)
		}
	}
}

// afterHeader takes everything until err is set.
type afterHeader struct{ err error }

func (a *afterHeader) Write(p []byte) (int, error) { return len(p), a.err }

// TestStreamInBoundedMemory takes 50 MB through both directions at once.
func TestStreamInBoundedMemory(t *testing.T) {
	const size, most = 50_000_000, 8 << 20
	k, id := newKey(t)
	pr, pw := io.Pipe()
	sum := sha256.New()
	done := make(chan error, 1)
	go func() {
		w, err := k.Encrypt(pw)
		if err == nil {
			_, err = io.Copy(io.MultiWriter(w, sum), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
		}
		if err == nil {
			err = w.Close()
		}
		pw.CloseWithError(err)
		done <- err
	}()
	r, err := id.Decrypt(pr)
	if err != nil {
		t.Fatal(err)
	}
	back := sha256.New()
	heap := &peak{}
	n, err := io.Copy(io.MultiWriter(back, heap), r)
	if werr := <-done; err != nil || werr != nil || n != size || !bytes.Equal(back.Sum(nil), sum.Sum(nil)) {
		t.Fatalf("%d octets back, %v, %v", n, err, werr)
	}
	if heap.most > most {
		t.Errorf("%d MB held, want at most %d", heap.most>>20, most>>20)
	}
	t.Logf("at most %d KB held", heap.most>>10)
}

// peak looks at the memory in use while octets pass.
type peak struct {
	seen int
	most uint64
}

func (p *peak) Write(b []byte) (int, error) {
	if p.seen += len(b); p.seen > 5_000_000 {
		p.seen = 0
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		p.most = max(p.most, m.HeapAlloc)
	}
	return len(b), nil
}
