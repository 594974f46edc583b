// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
)

// rescue keeps a panic of the filter to its connection: the library recovers
// only what happens while it handles a command, and the goroutine is its own.
// It is deferred at every way from the library into the filter.
func (v *view) rescue(err *error) {
	p := recover()
	if p == nil {
		return
	}
	logPanic(v.srv.cfg.Logger, v.conn.remote(), p, debug.Stack())
	v.dead, *err = true, net.ErrClosed
	v.conn.out, v.conn.ending = nil, true
	v.conn.raw.Close()
	v.conn.close()
}

// logPanic does not log what was passed to panic, which may quote a message,
// but for the runtime's own errors, which do not.
func logPanic(l *slog.Logger, remote string, value any, stack []byte) {
	what := fmt.Sprintf("%T", value)
	if e, ok := value.(runtime.Error); ok {
		what = e.Error()
	}
	l.Error("smtp: panic", "remote", remote, "panic", what, "stack", string(stack))
}

// libraryLog passes the library's complaints to the log.
type libraryLog struct{ l *slog.Logger }

// Printf implements gosmtp.Logger.
func (g libraryLog) Printf(format string, v ...any) {
	switch {
	case strings.HasPrefix(format, "panic serving ") && len(v) == 3:
		stack, _ := v[2].([]byte)
		logPanic(g.l, fmt.Sprint(v[0]), v[1], stack)
	case strings.HasPrefix(format, "error handling "):
		// A client that hung up, or was cut off.
		g.l.Info("smtp: " + fmt.Sprintf(format, v...))
	default:
		g.l.Error("smtp: " + strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}

// Println implements gosmtp.Logger.
func (g libraryLog) Println(v ...any) { g.l.Error("smtp: " + strings.TrimSpace(fmt.Sprintln(v...))) }
