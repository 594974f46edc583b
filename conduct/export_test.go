// SPDX-License-Identifier: EUPL-1.2

package conduct

// Size is how many mailboxes are watched.
func (w *Watcher) Size() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.boxes)
}
