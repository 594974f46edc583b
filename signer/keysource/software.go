// SPDX-License-Identifier: EUPL-1.2

// Package keysource opens the provider's signing key from where the
// configuration says it is, and says how fast it signs.
package keysource

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"log/slog"
	"math"
	"runtime"
	"time"

	"pecd/clock"
	"pecd/fault"
	"pecd/signer/libcrypto"
)

// Engine is what computes the signatures of a key that was read from a file.
type Engine string

// The engines.
const (
	EngineAuto      Engine = "auto"      // the faster one of those that are there
	EngineLibcrypto Engine = "libcrypto" // OpenSSL 3, or no start
	EngineGo        Engine = "go"        // Go's own
)

// Environment is what sources need beside their configuration.
type Environment struct {
	Clock  clock.Clock
	Logger *slog.Logger
}

// Software returns the key as it is to sign: itself, or inside libcrypto, where
// it is an io.Closer. Which one it is, and what each candidate makes a second on
// one core, goes to the log.
//
// With EngineAuto the lack of libcrypto is no error; with EngineLibcrypto the
// error is that of libcrypto.
func Software(key crypto.Signer, engine Engine, env Environment) (crypto.Signer, error) {
	const op = "keysource.Software"
	own, err := signaturesASecond(key, env.Clock)
	if err != nil {
		return nil, fault.Wrap(op, err)
	}
	if engine == EngineGo {
		env.Logger.Info("signing key", "engine", EngineGo, "go", own)
		return key, nil
	}
	lib, native, err := inLibcrypto(key)
	if err != nil {
		if engine == EngineLibcrypto {
			return nil, fault.Wrap(op, err)
		}
		env.Logger.Info("signing key", "engine", EngineGo, "go", own, "libcrypto", err.Error())
		return key, nil
	}
	fast, err := signaturesASecond(native, env.Clock)
	if err != nil {
		native.Close()
		return nil, fault.Wrap(op, err)
	}
	if engine == EngineAuto && fast < own {
		native.Close()
		env.Logger.Info("signing key", "engine", EngineGo, "go", own, "libcrypto", fast, "version", lib.Version())
		return key, nil
	}
	env.Logger.Info("signing key", "engine", EngineLibcrypto, "go", own, "libcrypto", fast, "version", lib.Version())
	return native, nil
}

// inLibcrypto loads libcrypto and hands it the key.
func inLibcrypto(key crypto.Signer) (*libcrypto.Library, *libcrypto.Key, error) {
	lib, err := libcrypto.Load()
	if err != nil {
		return nil, nil, err
	}
	native, err := lib.NewKey(key, runtime.GOMAXPROCS(0))
	return lib, native, err
}

// A trial ends with the first of these.
const (
	trialTime  = 40 * time.Millisecond
	trialCount = 200
)

// signaturesASecond tries a key on one core. The first signature, which prepares
// what the others use, does not count.
func signaturesASecond(key crypto.Signer, clk clock.Clock) (int, error) {
	sum := sha256.Sum256([]byte("pecd"))
	sign := func() error {
		_, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
		return fault.Wrap("keysource.trial", err)
	}
	if err := sign(); err != nil {
		return 0, err
	}
	start, took, n := clk.Now(), time.Duration(0), 0
	for took < trialTime && n < trialCount {
		if err := sign(); err != nil {
			return 0, err
		}
		n++
		took = clk.Now().Sub(start)
	}
	return int(math.Round(float64(n) / max(took, time.Nanosecond).Seconds())), nil
}

// Close releases a key where it holds something outside of Go.
func Close(key crypto.Signer) error {
	if c, ok := key.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
