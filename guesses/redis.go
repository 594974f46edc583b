// SPDX-License-Identifier: EUPL-1.2

package guesses

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"pecd/clock"
	"pecd/fault"
)

const (
	patience   = 250 * time.Millisecond // with Redis, for one decision
	pause      = time.Second            // without asking it after it failed
	refresh    = time.Hour              // a network known for less need not be told again
	maxListed  = 1000
	loginBytes = 16 // of the hash that names an account's networks
)

// Shared counts together with other processes, in Redis, and in this process as
// well: refused is what either refuses. Without Redis the process's own counts go
// on, so that it can only be stricter then.
type Shared struct {
	local  *Local
	client redis.UniversalClient
	prefix string
	clk    clock.Clock
	log    *slog.Logger

	check, failed, proved, clear *redis.Script

	mu    sync.Mutex
	until time.Time // Redis is not asked before
	down  bool
}

var _ Counter = (*Shared)(nil)

// NewShared returns a counter over client, which stays its caller's. Its keys
// begin with prefix, and share a hash tag, so that a cluster keeps them together.
func NewShared(client redis.UniversalClient, prefix string, clk clock.Clock, log *slog.Logger) *Shared {
	return &Shared{
		local: NewLocal(clk), client: client, prefix: prefix + "{guesses}:", clk: clk, log: log,
		check: redis.NewScript(checkScript), failed: redis.NewScript(failedScript), proved: redis.NewScript(provedScript), clear: redis.NewScript(clearScript),
	}
}

// Check implements Counter.
func (s *Shared) Check(ctx context.Context, from netip.Prefix, login string) Standing {
	own := s.local.Check(ctx, from, login)
	if own.Refused == ByClient {
		return own
	}
	v, err := s.run(ctx, s.check, from, login)
	if err != nil || len(v) != 5 {
		return own
	}
	there := Standing{Stranger: v[2] == "0", Outstanding: int(number(v[3]))}
	switch {
	case v[0] == "1":
		there.Refused = ByClient
	case v[1] == "1" && own.Stranger:
		there.Refused, there.Account = ByAccount, v[4]
	case own.Refused == ByAccount && there.Stranger:
		there.Refused, there.Account = ByAccount, own.Account
	}
	there.Stranger = there.Stranger && own.Stranger
	there.Outstanding = max(there.Outstanding, own.Outstanding)
	return there
}

// Failed implements Counter.
func (s *Shared) Failed(ctx context.Context, from netip.Prefix, login string, exists bool) {
	name := ""
	if exists {
		name = login
	}
	v, err := s.run(ctx, s.failed, from, login, name)
	if err == nil && len(v) == 1 && v[0] == "1" {
		// Known to others: as it is not counted there, it must not be here.
		login = ""
	}
	s.local.Failed(ctx, from, login, exists)
}

// Proved implements Counter.
func (s *Shared) Proved(ctx context.Context, from netip.Prefix, login string) Standing {
	lately := s.local.provedLately(from, login, refresh)
	own := s.local.Proved(ctx, from, login)
	if lately {
		return own
	}
	if v, err := s.run(ctx, s.proved, from, login); err == nil && len(v) == 2 {
		own.Stranger = own.Stranger && v[0] == "0"
		own.Outstanding = max(own.Outstanding, int(number(v[1])))
	}
	return own
}

// Recall implements Counter. Redis remembers by itself; this is for when it is lost.
func (s *Shared) Recall(from netip.Prefix, login string, at time.Time) {
	s.local.Recall(from, login, at)
}

// Blocked implements Counter. Without Redis it is Temporary, beside what this
// process knows.
func (s *Shared) Blocked(ctx context.Context) ([]Blocked, error) {
	clients, accounts := s.local.blocked()
	err := s.blockedThere(ctx, clients, accounts)
	all := slices.Collect(maps.Values(clients))
	return sorted(slices.AppendSeq(all, maps.Values(accounts))), err
}

// blockedThere adds who waits by what Redis has: what both know is told as the
// one that lasts longer tells it.
func (s *Shared) blockedThere(ctx context.Context, clients map[netip.Prefix]Blocked, accounts map[uint16]Blocked) error {
	ctx, cancel := context.WithTimeout(ctx, 8*patience)
	defer cancel()
	now := s.clk.Now()
	nets, err := s.due(ctx, "clients", now.Add((clientBurst-1)*clientRefill))
	slots, errA := s.due(ctx, "accounts", now.Add((accountBurst-1)*accountRefill))
	names, errN := s.client.HGetAll(ctx, s.prefix+"names").Result()
	if err := errors.Join(err, errA, errN); err != nil {
		return fault.New("guesses.Blocked", fault.Temporary, err)
	}
	for member, full := range nets {
		from, err := netip.ParsePrefix(member)
		if at := free(full, clientBurst, clientRefill); err == nil && at.After(clients[from].Until) {
			clients[from] = Blocked{Client: from, Until: at}
		}
	}
	for member, full := range slots {
		k, err := strconv.ParseUint(member, 10, 16)
		if at := free(full, accountBurst, accountRefill); err == nil && at.After(accounts[uint16(k)].Until) {
			accounts[uint16(k)] = Blocked{Account: names[member], Until: at}
		}
	}
	return nil
}

// due returns the members of a key whose burst is back after an instant, and when.
func (s *Shared) due(ctx context.Context, key string, after time.Time) (map[string]time.Time, error) {
	by := &redis.ZRangeBy{Min: "(" + strconv.FormatInt(after.UnixMilli(), 10), Max: "+inf", Count: maxListed}
	found, err := s.client.ZRevRangeByScoreWithScores(ctx, s.prefix+key, by).Result()
	all := make(map[string]time.Time, len(found))
	for _, z := range found {
		if member, ok := z.Member.(string); ok {
			all[member] = time.UnixMilli(int64(z.Score))
		}
	}
	return all, err
}

// Clear implements Counter.
func (s *Shared) Clear(ctx context.Context, from netip.Prefix, login string) error {
	err := s.local.Clear(ctx, from, login)
	which := "all"
	switch {
	case from.IsValid():
		which = "client"
	case login != "":
		which = "account"
	}
	ctx, cancel := context.WithTimeout(ctx, 8*patience)
	defer cancel()
	if rerr := s.clear.Run(ctx, s.client, s.keys(login), which, from.String(), slotName(login)).Err(); rerr != nil {
		err = errors.Join(err, fault.New("guesses.Clear", fault.Temporary, rerr))
	}
	return err
}

// run has Redis decide, unless it failed a moment ago. It waits its time whatever
// becomes of who asked: a client that goes away once its password is tried is
// counted, and is no reason to give Redis up.
func (s *Shared) run(ctx context.Context, script *redis.Script, from netip.Prefix, login string, more ...any) ([]string, error) {
	now := s.clk.Now()
	s.mu.Lock()
	wait := now.Before(s.until)
	s.mu.Unlock()
	if wait {
		return nil, fault.New("guesses.redis", fault.Temporary, nil)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	args := append([]any{from.String(), slotName(login), now.UnixMilli()}, more...)
	v, err := script.Run(ctx, s.client, s.keys(login), args...).StringSlice()
	s.heard(now, err)
	return v, err
}

// heard keeps whether Redis answers, and tells changes once. The alarm is its
// client's owner's.
func (s *Shared) heard(now time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.until = now.Add(pause)
	}
	if down := err != nil; down != s.down {
		s.down = down
		if down {
			s.log.Warn("wrong passwords are counted in this process alone: Redis does not answer", "error", err)
		} else {
			s.log.Info("wrong passwords are counted with other processes again")
		}
	}
}

// keys names what a decision looks at. The networks of an account are under a
// hash of its login.
func (s *Shared) keys(login string) []string {
	sum := sha256.Sum256([]byte(login))
	return []string{s.prefix + "clients", s.prefix + "accounts", s.prefix + "names", s.prefix + "known:" + hex.EncodeToString(sum[:loginBytes])}
}

// slotName is the slot of a login, "" for none.
func slotName(login string) string {
	if login == "" {
		return ""
	}
	return strconv.Itoa(int(slot(login)))
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64) // our own script wrote it
	return n
}
