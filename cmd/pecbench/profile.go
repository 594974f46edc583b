// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// profileRounds submits in two more rounds, whose rates do not count, and has
// the sending provider profiled meanwhile: CPU in the first; allocations and
// what goroutines wait for in the second, because looking for that costs time.
func (b *bench) profileRounds(ctx context.Context, m *measurement, c *crew, name string) error {
	if err := os.MkdirAll(b.Profile, 0o755); err != nil {
		return err
	}
	for _, kinds := range [][]string{{"profile"}, {"allocs", "mutex", "block"}} {
		if err := b.profileRound(ctx, m, c, name, kinds); err != nil {
			return err
		}
	}
	file := filepath.Join(b.Profile, name+".heap.pb.gz")
	return fetchProfile(ctx, "http://"+c.from.debug+"/debug/pprof/heap", file)
}

func (b *bench) profileRound(ctx context.Context, m *measurement, c *crew, name string, kinds []string) error {
	seconds := max(1, int(b.Seconds))
	var wg sync.WaitGroup
	errs := make([]error, len(kinds))
	for i, kind := range kinds {
		wg.Go(func() {
			label := kind
			if kind == "profile" {
				label = "cpu"
			}
			url := fmt.Sprintf("http://%s/debug/pprof/%s?seconds=%d", c.from.debug, kind, seconds)
			errs[i] = fetchProfile(ctx, url, filepath.Join(b.Profile, name+"."+label+".pb.gz"))
		})
	}
	p, err := c.round(ctx, time.Duration(seconds)*time.Second+200*time.Millisecond, 0, b.Patience)
	wg.Wait()
	if err == nil {
		m.submitted += float64(p.octets)
	}
	return errors.Join(append(errs, err)...)
}

func fetchProfile(ctx context.Context, url, file string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return os.WriteFile(file, body, 0o644)
}
