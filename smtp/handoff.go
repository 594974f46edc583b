// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"net"
	"sync"
)

// handoff is the listener go-smtp serves: it yields the filtered connections.
// After STARTTLS the same connection is handed over once more, so that nothing
// of the library's cleartext session is left (RFC 3207 §4.2).
type handoff struct {
	addr net.Addr
	next chan *view
	done chan struct{}
	once sync.Once
}

func newHandoff(addr net.Addr) *handoff {
	return &handoff{addr: addr, next: make(chan *view), done: make(chan struct{})}
}

// push hands v to the library; false when the listener is closed.
func (h *handoff) push(v *view) bool {
	select {
	case h.next <- v:
		return true
	case <-h.done:
		return false
	}
}

// Accept implements net.Listener.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case v := <-h.next:
		return v, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// Addr implements net.Listener.
func (h *handoff) Addr() net.Addr { return h.addr }

// view is the connection as one go-smtp session has it. Once the connection
// went on to another session the view is dead: it reads the end of the stream,
// and closing it closes nothing.
type view struct {
	*conn
	dead bool // only the session's goroutine looks at it
}

// Read implements net.Conn.
func (v *view) Read(p []byte) (n int, err error) {
	defer v.rescue(&err)
	if v.dead {
		return 0, net.ErrClosed
	}
	return v.conn.read(v, p)
}

// Write implements net.Conn: it takes the library's replies.
func (v *view) Write(p []byte) (n int, err error) {
	defer v.rescue(&err)
	if v.dead {
		return 0, net.ErrClosed
	}
	v.conn.replies(p)
	return len(p), nil
}

// Close implements net.Conn.
func (v *view) Close() (err error) {
	defer v.rescue(&err)
	if v.dead {
		return nil
	}
	v.dead = true
	v.conn.close()
	return nil
}
