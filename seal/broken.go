// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pecd/alarm"
	"pecd/fault"
)

// brokenName is the file that keeps why the log was found broken: the alarm must
// outlive the process.
const brokenName = "BROKEN"

// maxReason bounds what is read of it, in octets.
const maxReason = 4 << 10

// Broken raises alarm.LedgerBroken with a reason, and again at every start until
// Cleared is called. The error says that the reason could not be kept; the alarm
// is raised all the same.
func (d *Daybook) Broken(reason string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fault.Wrap("seal.Broken", d.keepReason(reason))
}

// Cleared ends alarm.LedgerBroken: the whole log was verified and holds.
func (d *Daybook) Cleared() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := os.Remove(filepath.Join(d.cfg.Dir, brokenName))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	} else if err == nil {
		err = syncDir(d.cfg.Dir)
	}
	if err != nil {
		return fault.New("seal.Cleared", fault.Temporary, err)
	}
	d.cfg.Alarms.Clear(alarm.LedgerBroken)
	return nil
}

// broken is Broken within a turn, which has better things to do than to fail.
func (d *Daybook) broken(reason string) {
	if err := d.keepReason(reason); err != nil {
		d.cfg.Logger.Error("that the log is broken could not be kept", "error", err)
	}
}

func (d *Daybook) keepReason(reason string) error {
	d.cfg.Alarms.Raise(alarm.LedgerBroken, reason)
	err := put(d.cfg.Dir, brokenName, func(w io.Writer) error {
		_, err := io.WriteString(w, reason+"\n")
		return err
	})
	if err != nil {
		return fault.New("seal.broken", fault.Temporary, err)
	}
	return nil
}

// remember raises the alarm of an earlier process.
func (d *Daybook) remember() error {
	f, err := os.Open(filepath.Join(d.cfg.Dir, brokenName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	reason, err := io.ReadAll(io.LimitReader(f, maxReason))
	if err != nil {
		return err
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(reason), "\uFFFD"))
	if text == "" {
		text = "log PEC alterato / PEC log altered: pecd ledger verify"
	}
	d.cfg.Alarms.Raise(alarm.LedgerBroken, text)
	return nil
}
