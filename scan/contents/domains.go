// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"pecd/clock"
	"pecd/fault"
)

const (
	// listEvery is how often the file is looked at.
	listEvery   = 10 * time.Second
	maxListed   = 1_000_000
	maxListFile = 64 << 20
)

// DomainList is a file of domains that no link may lead to: one a line, with all
// that is below it; what follows # is a remark. The file is read again when it has
// changed; one that cannot be read leaves the list as it was. A nil list is empty.
// It is safe for concurrent use.
type DomainList struct {
	path string
	clk  clock.Clock
	log  *slog.Logger

	mu      sync.Mutex
	listed  map[string]struct{}
	looked  time.Time
	size    int64
	changed time.Time
}

// OpenDomainList reads the file. It fails where it cannot be read now.
func OpenDomainList(path string, clk clock.Clock, log *slog.Logger) (*DomainList, error) {
	l := &DomainList{path: path, clk: clk, log: log, looked: clk.Now()}
	if err := l.read(); err != nil {
		return nil, fault.New("contents.OpenDomainList", fault.Invalid, err)
	}
	return l, nil
}

// Has tells whether a host, or a domain it belongs to, is listed.
func (l *DomainList) Has(host string) bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.clk.Now(); now.Sub(l.looked) >= listEvery {
		l.looked = now
		if err := l.read(); err != nil {
			l.log.Error("list of domains not read, the old one stays in use", "file", l.path, "error", err)
		}
	}
	for host = ascii(host); host != ""; {
		if _, ok := l.listed[host]; ok {
			return true
		}
		_, host, _ = strings.Cut(host, ".")
	}
	return false
}

// read reads the file if it is another one than before.
func (l *DomainList) read() error {
	f, err := os.Open(l.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if l.listed != nil && info.Size() == l.size && info.ModTime().Equal(l.changed) {
		return nil
	}
	listed := make(map[string]struct{})
	lines := bufio.NewScanner(io.LimitReader(f, maxListFile))
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		domain := ascii(strings.Trim(strings.ToLower(strings.TrimSpace(line)), "."))
		if domain == "" {
			continue
		}
		if len(listed) == maxListed || info.Size() > maxListFile {
			return fmt.Errorf("%s: more than %d domains or %d octets", l.path, maxListed, maxListFile)
		}
		listed[domain] = struct{}{}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	l.listed, l.size, l.changed = listed, info.Size(), info.ModTime()
	return nil
}
