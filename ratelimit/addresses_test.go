// SPDX-License-Identifier: EUPL-1.2

package ratelimit_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"pecd/ratelimit"
	"pecd/ratelimit/ratelimittest"
)

// TestAddresses: the same through a cluster, and through sentinels.
func TestAddresses(t *testing.T) {
	logging.Disable()
	options := redis.UniversalOptions{
		MaxRetries: -1, ContextTimeoutEnabled: true, PipelinePoolSize: -1, PoolSize: 4, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, DisableIdentity: true,
	}
	t.Run("cluster", func(t *testing.T) {
		server := ratelimittest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", freePort(t))
		o := options
		o.Addrs, o.IsClusterMode = []string{server.Addr}, true
		direct := client(t, server.Addr)
		if err := direct.Do(context.Background(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
			t.Fatal(err)
		}
		fiftyPass(t, o)
	})
	t.Run("sentinel", func(t *testing.T) {
		server := ratelimittest.StartRedis(t)
		_, port, err := net.SplitHostPort(server.Addr)
		if err != nil {
			t.Fatal(err)
		}
		conf := filepath.Join(t.TempDir(), "sentinel.conf")
		if err := os.WriteFile(conf, []byte(fmt.Sprintf("sentinel monitor legge 127.0.0.1 %s 1\n", port)), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinel := ratelimittest.StartSentinel(t, conf)
		o := options
		o.Addrs, o.MasterName = []string{sentinel.Addr}, "legge"
		fiftyPass(t, o)
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// fiftyPass wants exactly 50 of a minute to pass at two nodes.
func fiftyPass(t *testing.T, o redis.UniversalOptions) {
	t.Helper()
	c := newCluster(t, "", 2, "addresses", time.Date(2026, 6, 3, 8, 0, 0, 0, time.UTC))
	for _, m := range c.nodes {
		m.client = redis.NewUniversalClient(&o)
		t.Cleanup(func() { m.client.Close() })
		c.start(m)
	}
	c.opened()
	f := ratelimit.Figures{PerMinute: 50, PerDay: 500, RecipientsPerMinute: 2000, RecipientsPerDay: 20000}
	// Braces in an address must not choose its slot.
	if n := c.hammer("{altro}@alfa.example", f, nil); n != 50 {
		t.Errorf("%d passed", n)
	}
}
