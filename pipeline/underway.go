// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"sync"

	"pecd/storage"
)

// underway is the jobs that a point is at, for whoever lists the queue.
type underway struct {
	mu   sync.Mutex
	jobs map[storage.JobID]struct{}
}

// enter adds a job; the returned function takes it out.
func (u *underway) enter(id storage.JobID) (leave func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.jobs == nil {
		u.jobs = make(map[storage.JobID]struct{})
	}
	u.jobs[id] = struct{}{}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.jobs, id)
	}
}

func (u *underway) has(id storage.JobID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.jobs[id]
	return ok
}
