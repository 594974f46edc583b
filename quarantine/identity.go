// SPDX-License-Identifier: EUPL-1.2

package quarantine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"pecd/fault"
)

// Bounds of an identity file. It holds a key for each change of keys within the
// time that messages are kept.
const (
	maxIdentityFile = 64 << 10
	maxIdentities   = 64
)

// Identity reads what was encrypted to its public keys. The zero value reads
// nothing.
type Identity struct {
	keys []age.Identity
}

// NewIdentity makes a new key pair: the identity file, to be written with mode
// 0600 and kept away from the node, and the public key "age1…" that the node
// is configured with. The file has the form of the age command's key files.
func NewIdentity() (identityFile []byte, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", fault.New("quarantine.NewIdentity", fault.Internal, err)
	}
	recipient = id.Recipient().String()
	var b bytes.Buffer
	fmt.Fprintln(&b, "# pecd: chiave segreta della quarantena, da custodire fuori dal nodo")
	fmt.Fprintln(&b, "# pecd: secret key of the quarantine, to be kept away from the node")
	fmt.Fprintf(&b, "# public key: %s\n%s\n", recipient, id)
	return b.Bytes(), recipient, nil
}

// LoadIdentity reads an identity file: one secret key "AGE-SECRET-KEY-1…" a
// line, among empty lines and lines that begin with "#". After a change of keys
// the old ones stay in it beside the new one.
//
// Errors name the file, and never quote it: NotFound; Denied when it cannot be
// opened or others than its owner may read it; Invalid otherwise.
func LoadIdentity(path string) (Identity, error) {
	const op = "quarantine.LoadIdentity"
	raw, err := readIdentityFile(path)
	if err != nil {
		return Identity{}, identityError(op, path, err)
	}
	defer clear(raw)
	id, err := parseIdentity(raw)
	if err != nil {
		return Identity{}, identityError(op, path, err)
	}
	return id, nil
}

var (
	errIdentityMode  = errors.New("readable by others than its owner")
	errIdentitySize  = errors.New("too large for an identity file")
	errIdentityEmpty = errors.New("no secret key in the file")
	errIdentityMany  = errors.New("too many secret keys in the file")
)

func readIdentityFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, errIdentityMode
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err == nil && len(raw) > maxIdentityFile {
		return nil, errIdentitySize
	}
	return raw, err
}

func parseIdentity(raw []byte) (Identity, error) {
	var id Identity
	n := 0
	for line := range bytes.Lines(raw) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if len(id.keys) == maxIdentities {
			return Identity{}, errIdentityMany
		}
		key, err := age.ParseX25519Identity(text)
		if err != nil { // it may quote the key: the line's number has to do
			return Identity{}, fmt.Errorf("line %d is not a secret key", n)
		}
		id.keys = append(id.keys, key)
	}
	if len(id.keys) == 0 {
		return Identity{}, errIdentityEmpty
	}
	return id, nil
}

func identityError(op, path string, err error) error {
	e := &fault.Error{Op: op, Kind: fault.Invalid, Err: fmt.Errorf("%s: %w", path, err),
		Text: "il file " + path + " non è una chiave segreta della quarantena / is no secret key of the quarantine"}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Kind, e.Text = fault.NotFound, "il file "+path+" non esiste / does not exist"
	case errors.Is(err, errIdentityMode):
		e.Kind, e.Text = fault.Denied, "il file "+path+" è leggibile da altri: chmod 600 / is readable by others: chmod 600"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Text = fault.Denied, "il file "+path+" non è leggibile / cannot be opened"
	}
	return e
}
