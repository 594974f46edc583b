// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"pecd/alarm"
)

// RedisConfig places the Redis that nodes share.
type RedisConfig struct {
	Addresses    []string      `toml:"addresses" doc:"host:port of the Redis that nodes share, for send limits and failed logins; several of a cluster, or with master of the sentinels. Empty: each node by itself."`
	Master       string        `toml:"master" doc:"Name of the master that the sentinels know; empty: addresses are Redis itself."`
	Cluster      bool          `toml:"cluster" doc:"It is a cluster, though addresses names one entrance alone."`
	User         string        `toml:"user" doc:"User of its access list; empty: the default one."`
	PasswordFile string        `toml:"password_file" doc:"File with the password."`
	TLS          bool          `toml:"tls" doc:"Encrypt the connection."`
	Authorities  string        `toml:"authorities" doc:"PEM bundle against which its certificate is checked; empty: the system's."`
	Database     int           `toml:"database" doc:"Number of the database; 0 in a cluster."`
	Prefix       string        `toml:"prefix" doc:"Begins every key, so that several providers can use one Redis. Letters, digits and _-. only."`
	Timeout      time.Duration `toml:"timeout" doc:"Longest wait for an answer; beyond it Redis counts as lost."`
	Connections  int           `toml:"connections" doc:"Connections of this node at most."`
}

func (c RedisConfig) check() error {
	switch {
	case len(c.Addresses) == 0 && (c.Master != "" || c.PasswordFile != "" || c.TLS || c.Cluster):
		return errors.New("redis.addresses is missing: where is Redis?")
	case c.Timeout < 10*time.Millisecond || c.Timeout > 5*time.Second:
		return errors.New("redis.timeout: 10ms to 5s")
	case c.Connections <= 0 || c.Database < 0:
		return errors.New("[redis]: connections must be positive, database not negative")
	case c.Prefix == "" || strings.Trim(c.Prefix, prefixLetters) != "":
		return errors.New("redis.prefix: letters, digits and _-. only, and not empty")
	case c.Cluster && c.Master != "":
		return errors.New("redis.cluster: sentinels (redis.master) watch over no cluster")
	}
	for _, a := range c.Addresses {
		if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
			return fmt.Errorf("redis.addresses: %q is no host:port", a)
		}
	}
	return nil
}

const prefixLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// openRedis returns the node's one client of Redis, nil where none is configured.
// It does not connect yet: a node starts without Redis.
func (n *node) openRedis() (redis.UniversalClient, error) {
	c := n.cfg.Redis
	if len(c.Addresses) == 0 {
		return nil, nil
	}
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.Master, IsClusterMode: c.Cluster, Username: c.User, DB: c.Database, ClientName: "pecd",
		// A command is sent once: who counts must know what was counted.
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		PoolSize: c.Connections, ReadBufferSize: 8 << 10, WriteBufferSize: 8 << 10, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}, DisableIdentity: true,
	}
	if c.PasswordFile != "" {
		secret, err := os.ReadFile(n.cfg.path(c.PasswordFile))
		if err != nil {
			return nil, fmt.Errorf("redis.password_file: %w", err)
		}
		o.Password = strings.TrimRight(string(secret), "\r\n")
		o.SentinelPassword = o.Password
	}
	if c.TLS {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.Authorities != "" {
			pool, err := certPool(n.cfg.path(c.Authorities))
			if err != nil {
				return nil, fmt.Errorf("redis.authorities: %w", err)
			}
			o.TLSConfig.RootCAs = pool
		}
	}
	logging.Disable() // a line for each attempt to connect: the alarm says it once
	return redis.NewUniversalClient(o), nil
}

// redisEvery is how often Redis is asked whether it is there, redisPatience how
// long it may be silent before that is an alarm.
const redisEvery, redisPatience = time.Second, 3 * time.Second

// watchRedis keeps the alarm about Redis up to date.
func (n *node) watchRedis(ctx context.Context) {
	heard := n.clock.Now()
	for {
		err := n.redis.Ping(ctx).Err()
		n.redisUp.Store(err == nil)
		switch alone := n.clock.Now().Sub(heard) >= redisPatience; {
		case err == nil && n.sharedLimits.InUse():
			heard = n.clock.Now()
			n.alarms.Clear(alarm.RedisDown)
		case ctx.Err() != nil || !alone:
		case err != nil:
			n.alarms.Raise(alarm.RedisDown, "Redis non risponde: ogni nodo conta da solo, con limiti più stretti / Redis does not answer: each node counts by itself, with stricter limits")
		default:
			n.alarms.Raise(alarm.RedisDown, "Redis risponde, ma non tutti i nodi vi hanno detto che cosa hanno accettato: limiti più stretti / Redis answers, but not all nodes have told it what they accepted: stricter limits")
		}
		if !n.pause(ctx, redisEvery) {
			return
		}
	}
}
