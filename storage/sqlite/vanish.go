// SPDX-License-Identifier: EUPL-1.2

package sqlite

import "pecd/storage"

// keptVanished is how many ranges are left of a folder that had more than
// storage.MaxVanished: so few that it takes a while to have too many again.
const keptVanished = storage.MaxVanished * 3 / 4

// maxCounted is of how many folders the writer remembers how many ranges there
// are.
const maxCounted = 10_000

// vanish records messages, ascending by UID, as expunged under a modseq, and
// forgets the oldest where the folder has too many.
func (r *run) vanish(id storage.FolderID, modseq uint64, ms []message) error {
	added := 0
	for i := 0; i < len(ms); added++ {
		first := ms[i].uid
		last := first
		for i++; i < len(ms) && ms[i].uid == last+1; i++ {
			last++
		}
		_, err := r.exec("INSERT INTO vanished (folder, modseq, first, last) VALUES (?, ?, ?, ?)", id, modseq, first, last)
		if err != nil {
			return err
		}
	}
	// The count is of what was ever added since it was taken: of steps that failed
	// as well. It decides only when to look.
	n, counted := r.w.vanished[id]
	if n += added; counted && n <= storage.MaxVanished {
		r.w.vanished[id] = n
		return nil
	}
	return r.forget(id)
}

// forget counts the ranges of a folder. Of too many it deletes the oldest and
// moves the folder's horizon to the last modseq that lacks any.
func (r *run) forget(id storage.FolderID) error {
	var n int
	if err := r.row("SELECT count(*) FROM vanished WHERE folder = ?", id).Scan(&n); err != nil {
		return err
	}
	if n <= storage.MaxVanished {
		if len(r.w.vanished) >= maxCounted {
			clear(r.w.vanished)
		}
		r.w.vanished[id] = n
		return nil
	}
	delete(r.w.vanished, id) // this step may yet fail
	var horizon uint64
	err := r.row("SELECT modseq FROM vanished WHERE folder = ? ORDER BY modseq DESC, first DESC LIMIT 1 OFFSET ?", id, keptVanished).Scan(&horizon)
	if err != nil {
		return err
	}
	if _, err := r.exec("DELETE FROM vanished WHERE folder = ? AND modseq <= ?", id, int64(horizon)); err != nil {
		return err
	}
	_, err = r.exec("UPDATE folders SET horizon = ? WHERE id = ?", int64(horizon), id)
	return err
}
