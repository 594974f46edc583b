// SPDX-License-Identifier: EUPL-1.2

package connections

import (
	"net"
	"sync/atomic"
	"time"
)

// Deadlines are what a connection is held to, in nanoseconds of the server's
// clock, 0 for none. The connection's goroutine sets them, the set looks at them.
type Deadlines struct {
	Raw    net.Conn // below TLS
	Cancel func()   // of the connection's context

	ReadBy  atomic.Int64 // until when input must come
	WriteBy atomic.Int64 // until when output must be taken
}

// Wake makes the connection's goroutine stop reading, for good.
func (d *Deadlines) Wake() { _ = d.Raw.SetReadDeadline(time.Unix(1, 0)) }

// Cut implements Conn.
func (d *Deadlines) Cut() {
	d.Cancel()
	_ = d.Raw.Close()
}

// Overdue implements Conn: who does not take output is cut, who sends no input
// is woken, and says what it has to say.
func (d *Deadlines) Overdue(now int64) {
	if by := d.WriteBy.Load(); by != 0 && now > by {
		d.Cut()
		return
	}
	if by := d.ReadBy.Load(); by != 0 && now > by {
		d.Wake()
	}
}
