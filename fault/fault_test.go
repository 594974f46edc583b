// SPDX-License-Identifier: EUPL-1.2

package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"pecd/fault"
)

func TestKindAndTextTravel(t *testing.T) {
	err := fault.Wrap("outer", fmt.Errorf("between: %w", fault.Wrap("middle", fault.Say("inner", fault.Quota, "casella piena"))))
	if fault.KindOf(err) != fault.Quota || fault.TextOf(err) != "casella piena" || !fault.Is(err, fault.Quota) {
		t.Errorf("%v: %v %q", err, fault.KindOf(err), fault.TextOf(err))
	}
	if err := fault.New("op", fault.Temporary, io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if fault.KindOf(io.EOF) != fault.Internal || fault.Is(nil, fault.Internal) || fault.Wrap("op", nil) != nil {
		t.Error("errors of others, and none, are misread")
	}
}

// TestCodes: every kind has an answer on every protocol, and those that may
// work later are 4xx.
func TestCodes(t *testing.T) {
	later := map[fault.Kind]bool{fault.Internal: true, fault.Temporary: true, fault.Quota: true, fault.TooMany: true, fault.Conflict: true, fault.Busy: true, fault.NoSpace: true, fault.Limited: true}
	for k := fault.Internal; k <= fault.Unwanted; k++ {
		c := fault.CodesOf(fault.New("op", k, nil))
		if c.SMTP/100 != c.Enhanced[0] || (c.SMTP/100 == 4) != later[k] || c.HTTP < 400 || c.IMAP == "" || c.Text == "" {
			t.Errorf("%v: %+v", k, c)
		}
		for _, r := range c.Text {
			if r > 0x7e {
				t.Errorf("%v: %q is not ASCII, as SMTP wants it", k, c.Text)
			}
		}
	}
	if c := fault.CodesOf(fault.Say("op", fault.Denied, "no")); c.Text != "no" {
		t.Errorf("own text not used: %q", c.Text)
	}
}
