// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What lies beside the index file, under its name and these endings.
const (
	refusedSuffix = ".refused" // the newest index that was signed but not believed
	stateSuffix   = ".state"   // fetchState, in JSON
	tempSuffix    = ".tmp"     // of a file being written, whose name begins with a dot
)

const (
	// maxStateBytes is above what departed may hold, twice, with its octets escaped.
	maxStateBytes = 64 << 20
	// maxUntold bounds the summaries that wait for Loaded.
	maxUntold = 64
)

// fetchState is what a fetcher remembers across restarts.
type fetchState struct {
	Fetched time.Time `json:"fetched,omitzero"` // when a good index was last fetched
	Signed  time.Time `json:"signed,omitzero"`  // signingTime of the newest index taken over
	Refused *Refused  `json:"refused,omitempty"`

	Departed departed  `json:"departed,omitzero"`
	Untold   []Summary `json:"untold,omitempty"` // taken over, but Loaded could not be told
}

// Refused is an index that lies beside the one in use until a good one is
// fetched or Accept takes it over.
type Refused struct {
	At     time.Time `json:"at"`     // when it was fetched
	Reason string    `json:"reason"` // Italian first
	SHA256 string    `json:"sha256"` // of the signed file, in hexadecimal
}

// loadState reads the state. Without one, the age of the index file is what is
// known: the index is used all the same, and the log says what is not known. No
// instant is in the future: that would hide a stale index.
func (f *Fetcher) loadState() fetchState {
	var s fetchState
	b, err := readBounded(f.cfg.File+stateSuffix, maxStateBytes)
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		s = fetchState{}
		_, absent := os.Stat(f.cfg.File)
		if first := errors.Is(err, fs.ErrNotExist) && errors.Is(absent, fs.ErrNotExist); !first {
			f.cfg.Log.Warn("no state of the provider index, going on without: it is not known whose the domains and certificates were that left the index lately, "+
				"whether a newer index than the one in use was ever taken over, nor whether one was refused", "file", f.cfg.File+stateSuffix, "err", err)
		}
	}
	if s.Fetched.IsZero() {
		if info, err := os.Stat(f.cfg.File); err == nil {
			s.Fetched = info.ModTime()
		}
	}
	if now := f.cfg.Clock.Now(); s.Fetched.After(now) {
		s.Fetched = now
	}
	return s
}

// saveState is called with f.mu held. An error was logged: a state that is lost
// costs an alarm too early or the memory of a refusal, and no more, but where
// something leaves the index.
func (f *Fetcher) saveState() error {
	b, err := json.MarshalIndent(f.state, "", "  ")
	if err == nil {
		err = f.replaceFile(f.cfg.File+stateSuffix, append(b, '\n'))
	}
	if err != nil {
		f.cfg.Log.Error("state of the provider index not saved", "file", f.cfg.File+stateSuffix, "err", err)
	}
	return err
}

// replaceFile brings data to stable storage under a name that had other data,
// or none: whoever opens it sees the one or the other, also after a crash.
func (f *Fetcher) replaceFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = f.rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// removeLeftovers removes what a crash left of replaceFile.
func (f *Fetcher) removeLeftovers() {
	dir, name := filepath.Dir(f.cfg.File), filepath.Base(f.cfg.File)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // whoever needs the folder next will say so
	}
	for _, e := range entries {
		if n := e.Name(); strings.HasPrefix(n, "."+name+".") && strings.HasSuffix(n, tempSuffix) {
			os.Remove(filepath.Join(dir, n))
		}
	}
}

// syncDir brings the names in a directory to stable storage.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readBounded reads a regular file of at most limit octets.
func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no regular file of up to %d octets", path, limit)
	}
	return io.ReadAll(io.LimitReader(file, limit))
}
