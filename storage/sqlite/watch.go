// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"sync"

	"pecd/storage"
)

// watchers tells whoever watches a folder or a queue that it changed. A channel
// holds one value: several changes may be told as one, none is lost.
type watchers struct {
	mu      sync.Mutex
	folders map[storage.FolderID]map[chan struct{}]struct{}
	queues  map[string]map[chan struct{}]struct{}
}

func newWatchers() *watchers {
	return &watchers{
		folders: make(map[storage.FolderID]map[chan struct{}]struct{}),
		queues:  make(map[string]map[chan struct{}]struct{}),
	}
}

// Watch implements storage.Mail.
func (s *Store) Watch(id storage.FolderID) (<-chan struct{}, func()) {
	return watch(s.watch, s.watch.folders, id)
}

// WatchQueue implements storage.Queue.
func (s *Store) WatchQueue(kind string) (<-chan struct{}, func()) {
	return watch(s.watch, s.watch.queues, kind)
}

func watch[K comparable](w *watchers, m map[K]map[chan struct{}]struct{}, key K) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if m[key] == nil {
		m[key] = make(map[chan struct{}]struct{})
	}
	m[key][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(m[key], ch)
		if len(m[key]) == 0 {
			delete(m, key)
		}
	}
}

func wake(chans map[chan struct{}]struct{}) {
	for ch := range chans {
		select {
		case ch <- struct{}{}:
		default: // told already
		}
	}
}

func (w *watchers) notify(folders []storage.FolderID) {
	if len(folders) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range folders {
		wake(w.folders[id])
	}
}

func (w *watchers) notifyQueue(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wake(w.queues[kind])
}

func (w *watchers) notifyAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, chans := range w.folders {
		wake(chans)
	}
	for _, chans := range w.queues {
		wake(chans)
	}
}
