// SPDX-License-Identifier: EUPL-1.2

package keysource_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer/keysource"
	"pecd/signer/keysuite"
	"pecd/signer/libcrypto"
)

// told is an environment and what it logs.
func told() (keysource.Environment, *bytes.Buffer) {
	var b bytes.Buffer
	return keysource.Environment{Clock: clock.System{}, Logger: slog.New(slog.NewTextHandler(&b, nil))}, &b
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestContractOfGo(t *testing.T) {
	keysuite.Run(t, func(t *testing.T, key crypto.Signer) crypto.Signer {
		env, _ := told()
		s, err := keysource.Software(key, keysource.EngineGo, env)
		if err != nil || s != key {
			t.Fatalf("%T, %v", s, err)
		}
		return s
	})
}

// The engine that the configuration names is the one that signs, and the log
// says which and how fast each was.
func TestSoftwareTakesTheEngineThatIsNamed(t *testing.T) {
	for engine, want := range map[keysource.Engine]string{
		keysource.EngineGo: "engine=go go=", keysource.EngineLibcrypto: "engine=libcrypto go=", keysource.EngineAuto: "engine=libcrypto go=",
	} {
		env, log := told()
		s, err := keysource.Software(rsaKey(t), engine, env)
		if err != nil {
			t.Fatal(err)
		}
		if _, native := s.(*libcrypto.Key); native != (engine != keysource.EngineGo) {
			t.Errorf("%s: %T", engine, s)
		}
		if !strings.Contains(log.String(), want) || strings.Contains(log.String(), "go=0 ") {
			t.Errorf("%s: %s", engine, log)
		}
		if err := keysource.Close(s); err != nil {
			t.Error(err)
		}
	}
}

// What libcrypto does not take is signed by Go, unless libcrypto was asked for.
func TestSoftwareFallsBackToGo(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	env, log := told()
	if s, err := keysource.Software(p384, keysource.EngineAuto, env); err != nil || s != crypto.Signer(p384) || !strings.Contains(log.String(), "engine=go") {
		t.Errorf("%T, %v, %s", s, err, log)
	}
	if s, err := keysource.Software(p384, keysource.EngineLibcrypto, env); s != nil || !fault.Is(err, fault.Unsupported) {
		t.Errorf("%T, %v", s, err)
	}
}

// mute is a key that does not sign.
type mute struct{ crypto.Signer }

var errMute = errors.New("mute")

func (mute) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errMute }

func TestSoftwareRefusesAKeyThatDoesNotSign(t *testing.T) {
	env, _ := told()
	if s, err := keysource.Software(mute{rsaKey(t)}, keysource.EngineAuto, env); s != nil || !errors.Is(err, errMute) {
		t.Errorf("%T, %v", s, err)
	}
}

// A clock that stands still does not make the trial last for ever.
func TestTrialEndsWithoutTime(t *testing.T) {
	env, log := told()
	env.Clock = clock.NewManual(clock.System{}.Now())
	if _, err := keysource.Software(rsaKey(t), keysource.EngineGo, env); err != nil || !strings.Contains(log.String(), "engine=go") {
		t.Errorf("%v, %s", err, log)
	}
}
