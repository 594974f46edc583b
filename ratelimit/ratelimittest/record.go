// SPDX-License-Identifier: EUPL-1.2

// Package ratelimittest is the contract suite of package ratelimit: both
// limiters run it and pass it whole.
package ratelimittest

import (
	"context"
	"slices"
	"sync"
	"time"

	"pecd/ratelimit"
)

// Record is a record in memory.
type Record struct {
	mu   sync.Mutex
	sent map[string][]ratelimit.Entry
	Err  error // of every reading, where set
}

var _ ratelimit.Record = (*Record)(nil)

// Add records a message, as the commit of its acceptance does.
func (r *Record) Add(key string, at time.Time, recipients int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent == nil {
		r.sent = make(map[string][]ratelimit.Entry)
	}
	at = time.Unix(at.Unix(), 0).UTC()
	all := r.sent[key]
	i := slices.IndexFunc(all, func(e ratelimit.Entry) bool { return e.At.Equal(at) })
	if i < 0 {
		i = len(all)
		all = append(all, ratelimit.Entry{At: at})
	}
	all[i].Messages++
	all[i].Recipients += recipients
	r.sent[key] = all
}

// Messages is how many of a mailbox are on record.
func (r *Record) Messages(key string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.sent[key] {
		n += e.Messages
	}
	return n
}

// Sent implements ratelimit.Record.
func (r *Record) Sent(_ context.Context, key string, from time.Time) ([]ratelimit.Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []ratelimit.Entry
	for _, e := range r.sent[key] {
		if !e.At.Before(from) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b ratelimit.Entry) int { return a.At.Compare(b.At) })
	return out, r.Err
}

// Senders implements ratelimit.Record.
func (r *Record) Senders(_ context.Context, from time.Time, fn func(key string) error) error {
	r.mu.Lock()
	var keys []string
	for key, all := range r.sent {
		if slices.ContainsFunc(all, func(e ratelimit.Entry) bool { return !e.At.Before(from) }) {
			keys = append(keys, key)
		}
	}
	err := r.Err
	r.mu.Unlock()
	for _, key := range keys {
		if err := fn(key); err != nil {
			return err
		}
	}
	return err
}
