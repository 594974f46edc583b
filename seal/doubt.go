// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"fmt"
	"slices"
	"time"

	"pecd/alarm"
	"pecd/fault"
)

// doubtful reports whether one of some alarms about the clock is raised.
func (d *Daybook) doubtful(names ...string) bool {
	return slices.ContainsFunc(d.cfg.Alarms.Raised(), func(a alarm.Alarm) bool { return slices.Contains(names, a.Name) })
}

// ahead fails where the day after the last sealed one is still to come: days
// were closed by a clock that ran ahead. No day is closed twice and none goes
// back, so that nothing is sealed until the calendar has caught up.
func (d *Daybook) ahead(next time.Time) error {
	if !dayOf(d.cfg.Clock.Now(), d.cfg.Zone).Before(next) {
		return nil
	}
	return fault.Say("seal.closeDays", fault.Conflict, fmt.Sprintf(
		"il log PEC è già sigillato fino al %s, che non è passato: l'orologio era avanti; non si sigilla più nulla fino ad allora / "+
			"the PEC log is sealed up to that day, which is not over: the clock ran ahead; nothing more is sealed until then",
		next.AddDate(0, 0, -1).Format(time.DateOnly)))
}
