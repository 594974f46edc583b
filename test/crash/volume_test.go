// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// volume is a directory as the kernel and the disk know it while calls are
// played back: what is synced, and in which order the rest came.
type volume struct {
	root  string
	now   map[string]*inode // names as processes see them, relative to root
	safe  map[string]*inode // names that every crash leaves
	names []nameChange      // since then, in order
}

// inode is a file or directory.
type inode struct {
	dir  bool
	data []byte  // synced
	rest []patch // written since, in order
	pos  int64   // where write(2) goes on
}

// patch is one write, or the new length of the file.
type patch struct {
	off  int64
	data []byte
	size int64 // new length, where data is nil
	end  int
}

// nameChange is one change of a directory.
type nameChange struct {
	from, to string // from: "" a new name; to: "" removed
	node     *inode
	end      int
	// A journal commits changes in their order: some sync came later.
	journaled bool
	// Without one, each directory is synced for itself.
	syncedFrom, syncedTo bool
}

// newVolume is a directory all of which is synced.
func newVolume(root string) (*volume, error) {
	v := &volume{root: root, now: make(map[string]*inode)}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() && !e.Type().IsRegular() {
			return err
		}
		n := &inode{dir: e.IsDir()}
		if !n.dir {
			if n.data, err = os.ReadFile(path); err != nil {
				return err
			}
		}
		v.now[v.rel(path)] = n
		return nil
	})
	v.safe = maps.Clone(v.now)
	return v, err
}

func (v *volume) has(path string) bool { return path == v.root || strings.HasPrefix(path, v.root+"/") }
func (v *volume) rel(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, v.root), "/")
}

// play lets a call take effect. A call that the model does not know is an error.
func (v *volume) play(c *call) error {
	switch c.name {
	case "openat", "open":
		return v.open(c)
	case "write", "pwrite64":
		return v.write(c)
	case "ftruncate":
		if n := v.file(c.path); n != nil {
			n.rest = append(n.rest, patch{size: c.number(0), end: c.end})
		}
	case "fsync", "fdatasync":
		v.sync(c)
	case "rename", "renameat", "renameat2":
		if len(c.names) == 2 && v.has(c.names[1]) {
			from, to := v.rel(c.names[0]), v.rel(c.names[1])
			v.change(nameChange{from: from, to: to, node: v.now[from], end: c.end})
		}
	case "unlink", "unlinkat", "rmdir":
		if len(c.names) == 1 && v.has(c.names[0]) {
			v.change(nameChange{from: v.rel(c.names[0]), end: c.end})
		}
	case "mkdir", "mkdirat":
		if len(c.names) == 1 && v.has(c.names[0]) {
			v.change(nameChange{to: v.rel(c.names[0]), node: &inode{dir: true}, end: c.end})
		}
	case "mmap":
		if v.has(c.path) && strings.Contains(c.args, "MAP_SHARED") && !strings.HasSuffix(c.path, "-shm") {
			return fmt.Errorf("%s is mapped: writes to it are not seen", c.path)
		}
	default:
		if v.has(c.path) || slices.ContainsFunc(c.names, v.has) {
			return fmt.Errorf("the model does not know %s(%s)", c.name, c.path)
		}
	}
	return nil
}

// file is the inode of a descriptor's path; nil: none that is kept.
func (v *volume) file(path string) *inode {
	if !v.has(path) || strings.HasSuffix(path, "-shm") || strings.HasSuffix(path, " (deleted)") {
		return nil
	}
	return v.now[v.rel(path)]
}

func (v *volume) open(c *call) error {
	if !v.has(c.path) || strings.HasSuffix(c.path, "-shm") {
		return nil
	}
	name := v.rel(c.path)
	n := v.now[name]
	if n == nil {
		if !strings.Contains(c.args, "O_CREAT") {
			return fmt.Errorf("%s is opened, and nobody made it", c.path)
		}
		v.change(nameChange{to: name, node: &inode{}, end: c.end})
		return nil
	}
	if n.pos = 0; strings.Contains(c.args, "O_TRUNC") {
		n.rest = append(n.rest, patch{size: 0, end: c.end})
	}
	return nil
}

func (v *volume) write(c *call) error {
	n := v.file(c.path)
	if n == nil {
		if v.has(c.path) && !strings.HasSuffix(c.path, "-shm") && !strings.HasSuffix(c.path, " (deleted)") {
			return fmt.Errorf("%s is written, and nobody made it", c.path)
		}
		return nil
	}
	p := patch{off: n.pos, data: c.data[:c.result], end: c.end}
	if c.name == "pwrite64" {
		p.off = c.number(1)
	} else {
		n.pos += c.result
	}
	n.rest = append(n.rest, p)
	return nil
}

func (v *volume) change(c nameChange) {
	if c.from != "" {
		delete(v.now, c.from)
	}
	if c.to != "" {
		v.now[c.to] = c.node
	}
	v.names = append(v.names, c)
}

// sync makes what ended before the call durable: the file's bytes, and names.
func (v *volume) sync(c *call) {
	if !v.has(c.path) {
		return
	}
	if n := v.file(c.path); n != nil && !n.dir {
		done := 0
		for done < len(n.rest) && n.rest[done].end < c.begin {
			n.data = n.rest[done].apply(n.data)
			done++
		}
		n.rest = n.rest[done:]
	}
	dir := v.rel(c.path)
	for i := range v.names {
		ch := &v.names[i]
		if ch.end >= c.begin {
			continue
		}
		// A sync of bytes alone need not commit the journal.
		ch.journaled = ch.journaled || c.name == "fsync"
		ch.syncedFrom = ch.syncedFrom || ch.from == "" || parent(ch.from) == dir
		ch.syncedTo = ch.syncedTo || ch.to == "" || parent(ch.to) == dir
	}
	for len(v.names) > 0 && v.names[0].journaled && v.names[0].syncedFrom && v.names[0].syncedTo {
		v.names[0].apply(v.safe)
		v.names = v.names[1:]
	}
}

func parent(name string) string {
	if d := filepath.Dir(name); d != "." {
		return d
	}
	return ""
}

func (c *nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" && c.node != nil {
		names[c.to] = c.node
	}
}

// apply writes a patch into the bytes of a file.
func (p patch) apply(data []byte) []byte {
	if p.data == nil {
		if p.size <= int64(len(data)) {
			return data[:p.size]
		}
		return append(data, make([]byte, p.size-int64(len(data)))...)
	}
	if grow := p.off + int64(len(p.data)) - int64(len(data)); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	copy(data[p.off:], p.data)
	return data
}
