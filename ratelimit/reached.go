// SPDX-License-Identifier: EUPL-1.2

package ratelimit

import (
	"fmt"
	"time"

	"pecd/fault"
)

// Reached says which bound a message would exceed.
type Reached struct {
	Window Window
	Figure int // the bound of the window
	// Opens is the instant at which the message passes, whatever others are sent
	// until then not counted; in legal time.
	Opens time.Time
	// Reduced tells that the bound is not the mailbox's own but this node's part
	// of it, while nodes do not know of each other.
	Reduced bool
}

// Error implements error.
func (r *Reached) Error() string {
	return fmt.Sprintf("limit %s of %d reached, opens %s", r.Window, r.Figure, r.Opens.Format(time.RFC3339))
}

// text is what the sender is told: which window, its figure, and when it opens.
func (r *Reached) text() string {
	it, en := r.names()
	at := opening(r.Opens)
	text := fmt.Sprintf("limite di %d %s raggiunto, riapre alle %s / limit of %d %s reached, opens at %s", r.Figure, it, at, r.Figure, en, at)
	if r.Reduced {
		text += " (limite ridotto per un guasto interno / reduced by a fault of ours)"
	}
	return text
}

func (r *Reached) names() (it, en string) {
	switch r.Window {
	case Minute:
		return "messaggi al minuto", "messages a minute"
	case Day:
		return "messaggi al giorno", "messages a day"
	case RecipientsMinute:
		return "destinatari al minuto", "recipients a minute"
	}
	return "destinatari al giorno", "recipients a day"
}

// opening is the second at which it has opened: "10:31:07", with the date where
// that is midnight or later.
func opening(t time.Time) string {
	if part := t.Nanosecond(); part > 0 {
		t = t.Add(time.Second - time.Duration(part))
	}
	if h, m, s := t.Clock(); h == 0 && m == 0 && s == 0 {
		return t.Format("15:04:05 del 02/01/2006")
	}
	return t.Format("15:04:05")
}

func (r *Reached) fault(op string) error {
	return &fault.Error{Op: op, Kind: fault.Limited, Text: r.text(), Err: r}
}

// TooMany answers a message that no waiting would let pass.
func TooMany(op string, figure int) error {
	return fault.Say(op, fault.TooMany, fmt.Sprintf("troppi destinatari: al massimo %d per messaggio / too many recipients: at most %d in a message", figure, figure))
}
