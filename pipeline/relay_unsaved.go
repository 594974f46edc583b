// SPDX-License-Identifier: EUPL-1.2

package pipeline

import (
	"sync"
	"time"

	"pecd/storage"
)

// maxUnsaved bounds what is remembered of attempts that could not be recorded.
const maxUnsaved = 4096

// unsaved is attempts that were made and could not be recorded: the disk was
// full. Their jobs come back as they were, and the attempt is recorded then
// instead of made again. It is memory only: after a crash the message is sent a
// second time.
type unsaved struct {
	mu   sync.Mutex
	jobs map[storage.JobID]unsavedAttempt
}

type unsavedAttempt struct {
	payload string // of the job when it was made
	Attempt
	next time.Time
}

func (u *unsaved) keep(job storage.Job, a Attempt, next time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.jobs == nil {
		u.jobs = make(map[storage.JobID]unsavedAttempt)
	}
	if len(u.jobs) < maxUnsaved {
		u.jobs[job.ID] = unsavedAttempt{string(job.Payload), a, next}
	}
}

// take returns the attempt that is to be recorded, and forgets it. One whose
// job has another payload by now was recorded after all.
func (u *unsaved) take(job storage.Job) (a unsavedAttempt, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok = u.jobs[job.ID]
	delete(u.jobs, job.ID)
	return a, ok && a.payload == string(job.Payload)
}
