// SPDX-License-Identifier: EUPL-1.2

package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"pecd/seal"
	"pecd/storage"
	"pecd/storage/sqlite"
)

// day is a file of the sealed log that is in the copy.
type day struct {
	sum
	size int64
}

// daysAhead takes the sealed days of now, at the pace, while days come and go:
// few are left to take when none may.
func (w *work) daysAhead(ctx context.Context) error {
	w.ahead = make(map[string]day)
	names, err := dayNames(ctx, w.Store)
	if err != nil {
		return err
	}
	for _, name := range names {
		d, err := w.day(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // told of later, where it was not purged meanwhile
		}
		if err != nil {
			return err
		}
		w.ahead[name] = d
	}
	return nil
}

// days takes the sealed days that the copied database knows: the others, if
// any, belong to what came after. No day is sealed meanwhile, so that it does not
// keep to the pace.
func (w *work) days(ctx context.Context, copied *sqlite.Store) error {
	defer func(p *pace) { w.pace = p }(w.pace)
	w.pace = newPace(w.Clock, 0)
	w.ledger = nil
	names, err := dayNames(ctx, copied)
	if err != nil {
		return err
	}
	for _, name := range names {
		d, ok := w.ahead[name]
		if !ok {
			d, err = w.day(ctx, name)
		}
		if errors.Is(err, fs.ErrNotExist) {
			// Also without its file a day is better copied than not: pecd ledger
			// verify tells of it here as it does there.
			w.Logger.Error("a sealed day of the log has lost its file", "file", name)
			continue
		}
		if err != nil {
			return err
		}
		delete(w.ahead, name)
		w.ledger = append(w.ledger, d.sum)
		w.m.Bytes += d.size
	}
	for name := range w.ahead { // purged meanwhile
		err = errors.Join(err, os.Remove(w.path(storeDir, ledgerDir, name)))
	}
	return err
}

// dayNames are the files of the sealed days that a store knows, in order.
func dayNames(ctx context.Context, s *sqlite.Store) (names []string, err error) {
	err = s.Seals(ctx, 1, func(s storage.Seal) error {
		if s.Purged {
			return nil
		}
		names = append(names, s.File)
		if len(s.Stamp) > 0 {
			names = append(names, seal.StampName(s.File))
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

// day takes one file, which never changes.
func (w *work) day(ctx context.Context, name string) (day, error) {
	from, to := filepath.Join(w.Dir, ledgerDir, name), path.Join(storeDir, ledgerDir, name)
	info, err := os.Lstat(from)
	if err != nil {
		return day{}, err
	}
	if hex, ok := w.oldDays[to]; ok && w.link(to, info.Size()) {
		return day{sum{to, hex}, info.Size()}, nil
	}
	s, size, err := w.copyOut(ctx, from, to)
	return day{s, size}, err
}

// recall reads the sums of the copy before. Where they are not the ones that its
// manifest knows nothing is shared with it.
func (w *work) recall() {
	if w.before == nil {
		return
	}
	w.oldDays = make(map[string]string)
	err := w.before.each(func(b Problem) error { return fmt.Errorf("%v", b) }, func(s sum) error {
		if strings.HasPrefix(s.path, storeDir+"/"+ledgerDir+"/") {
			w.oldDays[s.path] = s.hex
		}
		return nil
	})
	if err != nil {
		w.Logger.Warn("the copy before is damaged: every file is copied anew", "copy", w.before.Dir, "error", err)
		w.before, w.oldDays = nil, nil
	}
}

// tellDays writes the lines of the sealed days.
func (w *work) tellDays(context.Context) error {
	for _, s := range w.ledger {
		if err := w.sums.add(s); err != nil {
			return err
		}
	}
	return nil
}
