// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"testing"

	"go.uber.org/goleak"

	"pecd/ratelimit"
	"pecd/ratelimit/ratelimittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocal(t *testing.T) {
	ratelimittest.Run(t, true, func(w *ratelimittest.World) {
		open := func() ratelimit.Limiter {
			return ratelimit.NewLocal(ratelimit.Config{Clock: w.Clock, Location: w.Location, Record: w.Record})
		}
		w.Limiters, w.Restart = []ratelimit.Limiter{open()}, open
	})
}
