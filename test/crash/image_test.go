// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// loss is what a crash does to what was not synced.
type loss struct {
	// sector is the unit in which the writes of a file survive or not, each by
	// itself whatever came before it; 0: whole writes, up to a random one.
	sector int64
	// all of it is lost (0), or each unit survives with this probability.
	survive float64
	// strict has each change of a name lost by itself, unless its directory was
	// synced afterwards. Otherwise a journal keeps changes in their order, up to
	// a random one of those after the last fsync.
	strict bool
	// shm is what is found in the place of the index of the log, which is memory
	// shared among processes: nothing, or garbage.
	shm bool
}

func (l loss) String() string {
	s := fmt.Sprintf("units of %d survive with %.2f", l.sector, l.survive)
	if l.strict {
		s += ", names one by one"
	}
	return s
}

// losses are the kinds of crashes that are tried at each cut.
func losses(rnd *rand.Rand) loss {
	return loss{
		sector:  []int64{0, 512, 512, 4096}[rnd.IntN(4)],
		survive: []float64{0, 0, 0.1, 0.5, 0.9, 1}[rnd.IntN(6)],
		strict:  rnd.IntN(2) == 0,
		shm:     rnd.IntN(2) == 0,
	}
}

// image writes the directory that a crash could have left into dir.
func (v *volume) image(dir string, l loss, rnd *rand.Rand) error {
	names := v.surviving(l, rnd)
	content := make(map[*inode][]byte) // of files with several names
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n, path := names[name], filepath.Join(dir, name)
		if n.dir {
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
			continue
		}
		if up := names[parent(name)]; up == nil || !up.dir {
			continue // its directory was lost
		}
		if _, ok := content[n]; !ok {
			content[n] = n.surviving(l, rnd)
		}
		if err := os.WriteFile(path, content[n], 0o600); err != nil {
			return err
		}
	}
	if l.shm {
		garbage := make([]byte, 32<<10)
		for i := range garbage {
			garbage[i] = byte(rnd.Uint32())
		}
		return os.WriteFile(filepath.Join(dir, "pecd.db-shm"), garbage, 0o600)
	}
	return nil
}

// surviving are the names that are left.
func (v *volume) surviving(l loss, rnd *rand.Rand) map[string]*inode {
	names := maps.Clone(v.safe)
	upTo := len(v.names)
	if !l.strict && l.survive < 1 {
		first := slices.IndexFunc(v.names, func(c nameChange) bool { return !c.journaled })
		if first < 0 {
			first = len(v.names)
		}
		upTo = first
		if l.survive > 0 {
			upTo += rnd.IntN(len(v.names) - first + 1)
		}
	}
	for i, c := range v.names {
		if !l.strict {
			if c.journaled || i < upTo {
				c.apply(names)
			}
			continue
		}
		kept := rnd.Float64() < l.survive
		switch {
		case c.from != "" && c.to != "": // a rename is never without its new name
			if !c.syncedTo && !kept {
				continue
			}
			if !c.syncedFrom && !kept {
				c.from = ""
			}
		case c.to != "" && !c.syncedTo && !kept, c.from != "" && !c.syncedFrom && !kept:
			continue
		}
		c.apply(names)
	}
	maps.DeleteFunc(names, func(name string, _ *inode) bool { return strings.HasSuffix(name, ".sock") })
	return names
}

// surviving are the bytes that are left of a file.
func (n *inode) surviving(l loss, rnd *rand.Rand) []byte {
	data := slices.Clone(n.data)
	upTo := len(n.rest)
	if l.sector == 0 && l.survive < 1 {
		if upTo = 0; l.survive > 0 {
			upTo = rnd.IntN(len(n.rest) + 1)
		}
	}
	for i, p := range n.rest {
		switch {
		case l.sector == 0:
			if i < upTo {
				data = p.apply(data)
			}
		case p.data == nil:
			if rnd.Float64() < l.survive {
				data = p.apply(data)
			}
		default:
			for off := p.off; off < p.off+int64(len(p.data)); {
				next := min((off/l.sector+1)*l.sector, p.off+int64(len(p.data)))
				if rnd.Float64() < l.survive {
					data = patch{off: off, data: p.data[off-p.off : next-p.off]}.apply(data)
				}
				off = next
			}
		}
	}
	return data
}
