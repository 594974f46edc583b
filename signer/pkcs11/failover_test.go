// SPDX-License-Identifier: EUPL-1.2

package pkcs11_test

import (
	"crypto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pecd/fault"
	"pecd/signer/keysuite"
	"pecd/signer/pkcs11"
)

// load has 64 goroutines sign until it is ended, and checks every signature.
type load struct {
	signed, failed, wrong atomic.Int64
	stop                  chan struct{}
	wg                    sync.WaitGroup
}

func startLoad(k *opened) *load {
	l := &load{stop: make(chan struct{})}
	for g := range 64 {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				sum := digestOf("carico", g<<20+i)
				sig, err := k.Sign(nil, sum, crypto.SHA256)
				switch {
				case err != nil:
					l.failed.Add(1)
				case !keysuite.Verifies(k.Public(), sum, sig):
					l.wrong.Add(1)
				default:
					l.signed.Add(1)
				}
			}
		})
	}
	return l
}

// more waits until more signatures were made.
func (l *load) more(t *testing.T) {
	t.Helper()
	from := l.signed.Load()
	eventually(t, "signatures go on", func() bool { return l.signed.Load() > from+100 })
}

func (l *load) end() {
	close(l.stop)
	l.wg.Wait()
}

// twoTokens is a key on two tokens, each behind a library that fails when told.
func twoTokens(t *testing.T) (h *hsm, first, second string, tokens []pkcs11.TokenConfig, key crypto.Signer) {
	h, key = newHSM(t), rsaKey(t)
	h.token("alfa", key)
	h.token("beta", key)
	first, second = h.proxy("first"), h.proxy("second")
	return h, first, second, []pkcs11.TokenConfig{at(first, "alfa"), at(second, "beta")}, key
}

// A token is taken away under load, in each of the ways a token can fail: no
// signature fails or is wrong, the other one signs, and the first one signs again
// when it is back.
func TestFailoverUnderLoad(t *testing.T) {
	for name, mode := range map[string]byte{"removed": 'r', "wrong signatures": 'w', "hanging": 'h'} {
		t.Run(name, func(t *testing.T) {
			h, first, _, tokens, key := twoTokens(t)
			cfg, board, log := config(key.Public(), tokens...)
			if mode == 'h' {
				cfg.Timeout = 2 * time.Second
			}
			k, err := pkcs11.Open(cfg)
			must(t, err)
			t.Cleanup(func() { k.Close() })
			o := &opened{k, board, log}
			l := startLoad(o)
			l.more(t)
			for range 2 {
				h.mode(first, mode)
				eventually(t, "the alarm", func() bool { return strings.Contains(o.alarmText(), `firma il token "beta"`) })
				l.more(t)
				h.mode(first, 'o')
				eventually(t, "the alarm's end", func() bool { return o.alarmText() == "" })
				l.more(t)
			}
			l.end()
			if l.failed.Load() != 0 || l.wrong.Load() != 0 {
				t.Errorf("%d signatures, %d failed, %d wrong", l.signed.Load(), l.failed.Load(), l.wrong.Load())
			}
			lines := log.String()
			for _, want := range []string{`token=alfa before=""`, "token=beta before=alfa", "token=alfa before=beta"} {
				if !strings.Contains(lines, want) {
					t.Errorf("the log has no %s:\n%s", want, lines)
				}
			}
			t.Logf("%d signatures", l.signed.Load())
			must(t, k.Close())
		})
	}
}

// Without any token signatures fail as Temporary, and go on by themselves.
func TestBothTokensGone(t *testing.T) {
	h, first, second, tokens, key := twoTokens(t)
	k := open(t, key.Public(), tokens...)
	h.mode(first, 'r')
	h.mode(second, 'r')
	if _, err := k.Sign(nil, digestOf("", 0), crypto.SHA256); !fault.Is(err, fault.Temporary) || !strings.Contains(err.Error(), "CKR_DEVICE_REMOVED") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(k.alarmText(), "nessun token firma") {
		t.Errorf("alarm %q", k.alarmText())
	}
	h.mode(second, 'o')
	eventually(t, "the second signs", func() bool { return strings.Contains(k.alarmText(), `firma il token "beta"`) })
	signs(t, k)
	h.mode(first, 'o')
	eventually(t, "the alarm's end", func() bool { return k.alarmText() == "" })
	signs(t, k)
}

// The death of a token that stands by is told of before it is needed.
func TestStandByIsTried(t *testing.T) {
	h, _, second, tokens, key := twoTokens(t)
	k := open(t, key.Public(), tokens...)
	h.mode(second, 'r')
	eventually(t, "the alarm", func() bool {
		return strings.Contains(k.alarmText(), `firma il token "alfa"`) && strings.Contains(k.alarmText(), `"beta": C_`)
	})
}

// A node starts with one token of two, and says so.
func TestOpenWithOneTokenOfTwo(t *testing.T) {
	h, first, _, tokens, key := twoTokens(t)
	h.mode(first, 'r')
	k := open(t, key.Public(), tokens...)
	signs(t, k)
	if !strings.Contains(k.alarmText(), `"alfa": C_GetSlotList: CKR_DEVICE_REMOVED`) {
		t.Errorf("alarm %q", k.alarmText())
	}
}

// Calls that hang cost a bounded number of threads, are counted, and do not keep
// Close from returning.
func TestHangingCallsAreBounded(t *testing.T) {
	h, key := newHSM(t), rsaKey(t)
	h.token("alfa", key)
	lib := h.proxy("first")
	cfg, board, log := config(key.Public(), at(lib, "alfa"))
	cfg.Timeout, cfg.Retry = 20*time.Millisecond, 10*time.Millisecond
	k, err := pkcs11.Open(cfg)
	must(t, err)
	o := &opened{k, board, log}
	h.mode(lib, 'h')
	for range 20 {
		if _, err := k.Sign(nil, digestOf("", 0), crypto.SHA256); !fault.Is(err, fault.Temporary) {
			t.Fatalf("%v", err)
		}
	}
	eventually(t, "the bound is reached", func() bool { return strings.Contains(o.alarmText(), "too many calls") })
	if n := k.Stuck(); n < 1 || n > 2+4 {
		t.Errorf("%d calls hang", n)
	}
	if err := k.Close(); !fault.Is(err, fault.Temporary) {
		t.Errorf("Close: %v", err)
	}
	h.mode(lib, 'o')
	eventually(t, "the calls return", func() bool { return k.Stuck() == 0 })
	k.Finalise() // for the next test's tokens
}
