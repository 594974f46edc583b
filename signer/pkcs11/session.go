// SPDX-License-Identifier: EUPL-1.2

package pkcs11

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"pecd/signer/dynlib"
)

// The functions of this file block for as long as the library does.

var (
	errNoToken   = errors.New("no token of that label and serial number")
	errTokens    = errors.New("several tokens of that label: name its serial number")
	errNoKey     = errors.New("no private key of that label and id on the token")
	errKeys      = errors.New("several private keys of that label and id on the token")
	errSignature = errors.New("the library returned a signature of an impossible length")
)

// session is an open session with the key's handle. One thread at a time.
type session struct {
	m        *module
	handle   uintptr
	key      uintptr
	algo     algorithm
	finished bool
}

// maxSlots bounds what is read of the list of slots.
const maxSlots = 1024

// slotOf finds the slot of a token by its label and, if given, serial number.
func (m *module) slotOf(label, serial string) (uintptr, error) {
	slots := make([]uintptr, maxSlots)
	n := uintptr(0)
	// Asked without room first: some libraries look for new tokens only then.
	if err := check("C_GetSlotList", dynlib.Call(m.functions[fnGetSlotList], 1, 0, uintptr(unsafe.Pointer(&n)))); err != nil {
		return 0, err
	}
	n = maxSlots
	if err := check("C_GetSlotList", dynlib.Call(m.functions[fnGetSlotList], 1, uintptr(unsafe.Pointer(&slots[0])), uintptr(unsafe.Pointer(&n)))); err != nil {
		return 0, err
	}
	var found []uintptr
	for _, slot := range slots[:min(n, maxSlots)] {
		var info [256]byte // CK_TOKEN_INFO: label 32, manufacturer 32, model 16, serial number 16, …
		if dynlib.Call(m.functions[fnGetTokenInfo], slot, uintptr(unsafe.Pointer(&info))) != rvOK {
			continue // gone since, or none of ours
		}
		if text(info[:32]) == label && (serial == "" || text(info[80:96]) == serial) {
			found = append(found, slot)
		}
	}
	switch len(found) {
	case 0:
		return 0, errNoToken
	case 1:
		return found[0], nil
	}
	return 0, errTokens
}

// text is a field of fixed length, filled up with blanks.
func text(field []byte) string { return string(bytes.TrimRight(field, " \x00")) }

// openSession opens a session, logs in where the process is not logged in yet,
// and finds the key.
func (t *token) openSession() (*session, error) {
	if err := t.module.prepare(); err != nil {
		return nil, err
	}
	m := t.module
	slot, err := m.slotOf(t.cfg.Label, t.cfg.Serial)
	if err != nil {
		return nil, err
	}
	s := &session{m: m, algo: t.algo}
	if err := check("C_OpenSession", dynlib.Call(m.functions[fnOpenSession], slot, flagSerialSession, 0, 0, uintptr(unsafe.Pointer(&s.handle)))); err != nil {
		return nil, err
	}
	if err := t.login(s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if s.key, err = s.findKey(t.cfg.KeyLabel, t.cfg.KeyID); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// login logs in as the user; the login is that of all sessions of the process.
func (s *session) login(pin []byte) error {
	if len(pin) == 0 {
		return errNoPIN
	}
	err := check("C_Login", dynlib.Call(s.m.functions[fnLogin], s.handle, userNormal, uintptr(unsafe.Pointer(&pin[0])), uintptr(len(pin))))
	if hasCode(err, rvAlreadyLoggedIn) {
		return nil
	}
	return err
}

// attribute is CK_ATTRIBUTE. Its value is pinned while it is used.
type attribute struct {
	kind, value, length uintptr
}

// findKey finds the one private key of the label and id, each as far as given.
func (s *session) findKey(label string, id []byte) (uintptr, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	class := new(uintptr)
	*class = classPrivate
	pin.Pin(class)
	template := []attribute{{attrClass, uintptr(unsafe.Pointer(class)), wordSize}}
	for kind, value := range map[uintptr][]byte{attrLabel: []byte(label), attrID: id} {
		if len(value) > 0 {
			pin.Pin(&value[0])
			template = append(template, attribute{kind, uintptr(unsafe.Pointer(&value[0])), uintptr(len(value))})
		}
	}
	f := &s.m.functions
	if err := check("C_FindObjectsInit", dynlib.Call(f[fnFindObjectsInit], s.handle, uintptr(unsafe.Pointer(&template[0])), uintptr(len(template)))); err != nil {
		return 0, err
	}
	var found [2]uintptr
	n := uintptr(0)
	err := check("C_FindObjects", dynlib.Call(f[fnFindObjects], s.handle, uintptr(unsafe.Pointer(&found)), uintptr(len(found)), uintptr(unsafe.Pointer(&n))))
	if end := check("C_FindObjectsFinal", dynlib.Call(f[fnFindObjectsFinal], s.handle)); err != nil || end != nil {
		return 0, errors.Join(err, end)
	}
	switch n {
	case 0:
		return 0, errNoKey
	case 1:
		return found[0], nil
	}
	return 0, errKeys
}

// mechanism is CK_MECHANISM without a parameter.
type mechanism struct {
	kind, parameter, length uintptr
}

// sign signs a SHA-256 digest and returns the signature in the form of X.509.
func (s *session) sign(digest []byte) ([]byte, error) {
	f, how := &s.m.functions, mechanism{kind: s.algo.mechanism}
	if err := check("C_SignInit", dynlib.Call(f[fnSignInit], s.handle, uintptr(unsafe.Pointer(&how)), s.key)); err != nil {
		return nil, err
	}
	data, sig := s.algo.input(digest), make([]byte, s.algo.size)
	n := uintptr(len(sig))
	if err := check("C_Sign", dynlib.Call(f[fnSign], s.handle, uintptr(unsafe.Pointer(&data[0])), uintptr(len(data)),
		uintptr(unsafe.Pointer(&sig[0])), uintptr(unsafe.Pointer(&n)))); err != nil {
		return nil, err
	}
	if n != uintptr(len(sig)) {
		return nil, fmt.Errorf("%w: %d octets", errSignature, n)
	}
	return s.algo.output(sig)
}

// close closes the session; a second time it does nothing.
func (s *session) close() error {
	if s.finished {
		return nil
	}
	s.finished = true
	return check("C_CloseSession", dynlib.Call(s.m.functions[fnCloseSession], s.handle))
}
