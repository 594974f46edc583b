// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// rsaLimit is how many RSA-2048 signatures a second openssl makes on all cores
// at once: what the machine can do at this moment.
func rsaLimit(ctx context.Context) (float64, error) {
	out, err := exec.CommandContext(ctx, "openssl", "speed", "-seconds", "1", "-multi", strconv.Itoa(cores()), "rsa2048").Output()
	if err != nil {
		return 0, fmt.Errorf("openssl speed: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 7 || fields[0] != "rsa" || fields[1] != "2048" {
			continue
		}
		// Times of an operation, 0.000270s, then operations a second, signing first.
		for _, f := range fields[3:] {
			if strings.HasSuffix(f, "s") {
				continue
			}
			return strconv.ParseFloat(f, 64)
		}
	}
	return 0, fmt.Errorf("openssl speed printed no line for rsa 2048:\n%s", out)
}
