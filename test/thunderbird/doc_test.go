// SPDX-License-Identifier: EUPL-1.2

// Package thunderbird sits at Thunderbird's window as a holder would: it gives
// address and password, lets autoconfig find the rest, sends a certified message
// and looks at the receipts and their signatures. Thunderbird runs in a display
// of its own and is driven by its own remote protocol, Marionette; it reaches
// the demo on the loopback and nothing else.
//
// It takes half a minute and half a gigabyte of packages, so that it has a
// command of its own, make thunderbird. Pictures of what was seen are left in
// the folder that PECD_PICTURES names.
package thunderbird

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// programs are what the test drives, with their Debian packages.
func programs() map[string]string {
	return map[string]string{"thunderbird": "thunderbird thunderbird-l10n-it", "Xvfb": "xvfb", "certutil": "libnss3-tools", "import": "imagemagick"}
}

// wanted reports whether the test was asked for.
func wanted() bool { return os.Getenv("PECD_THUNDERBIRD") == "1" }

func TestMain(m *testing.M) {
	if !wanted() {
		os.Exit(m.Run())
	}
	var missing []string
	for program, debian := range programs() {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, debian)
		}
	}
	if missing != nil {
		fmt.Fprintf(os.Stderr, "missing programs; install them with: apt-get install -y --no-install-recommends %s\n", strings.Join(missing, " "))
		os.Exit(1)
	}
	os.Exit(m.Run())
}
