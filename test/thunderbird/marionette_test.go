// SPDX-License-Identifier: EUPL-1.2

package thunderbird

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// marionette is a session of Thunderbird's remote protocol: packets of a length
// in decimal, a colon, and JSON; a command is [0, id, name, parameters], its
// answer [1, id, error, result].
type marionette struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	id   int
}

// maxPacket bounds an answer.
const maxPacket = 64 << 20

// dialMarionette connects to the Thunderbird of a profile, once it says on which
// port it listens, and takes the session into the program's own windows.
func dialMarionette(t testing.TB, profile string) *marionette {
	t.Helper()
	port := ""
	within(t, 90*time.Second, "Thunderbird's remote protocol", func() bool {
		b, err := os.ReadFile(filepath.Join(profile, "MarionetteActivePort"))
		port = strings.TrimSpace(string(b))
		return err == nil && port != ""
	})
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	m := &marionette{t: t, conn: conn, in: bufio.NewReader(conn)}
	if _, err := m.packet(); err != nil { // the greeting
		t.Fatal(err)
	}
	m.do("WebDriver:NewSession", nil)
	m.do("Marionette:SetContext", map[string]any{"value": "chrome"})
	return m
}

func (m *marionette) packet() ([]byte, error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	length, err := m.in.ReadString(':')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
	if err != nil || n < 0 || n > maxPacket {
		return nil, fmt.Errorf("no length of a packet: %q", length)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(m.in, b)
	return b, err
}

// try does a command and returns its result, or the error that Thunderbird gives.
func (m *marionette) try(name string, parameters map[string]any) (json.RawMessage, error) {
	m.t.Helper()
	if parameters == nil {
		parameters = map[string]any{}
	}
	m.id++
	b, err := json.Marshal([]any{0, m.id, name, parameters})
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := fmt.Fprintf(m.conn, "%d:%s", len(b), b); err != nil {
		m.t.Fatal(err)
	}
	if b, err = m.packet(); err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	var answer [4]json.RawMessage
	if err := json.Unmarshal(b, &answer); err != nil {
		m.t.Fatalf("%s: %v: %.200s", name, err, b)
	}
	var failure struct{ Error, Message string }
	if err := json.Unmarshal(answer[2], &failure); err == nil && failure.Error != "" {
		return nil, fmt.Errorf("%s: %s: %s", name, failure.Error, failure.Message)
	}
	return answer[3], nil
}

func (m *marionette) do(name string, parameters map[string]any) json.RawMessage {
	m.t.Helper()
	out, err := m.try(name, parameters)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// run runs a script in the window and puts what it returns into value, which may
// be nil. An asynchronous one, which awaits, is given whole.
func (m *marionette) run(value any, script string, args ...any) {
	m.t.Helper()
	if args == nil {
		args = []any{}
	}
	out := m.do("WebDriver:ExecuteScript", map[string]any{"script": script, "args": args, "scriptTimeout": 60000})
	if value == nil {
		return
	}
	var result struct{ Value json.RawMessage }
	if err := json.Unmarshal(out, &result); err != nil {
		m.t.Fatalf("%.200s: %v", out, err)
	}
	if err := json.Unmarshal(result.Value, value); err != nil {
		m.t.Fatalf("%.200s: %v", result.Value, err)
	}
}

// text is run for a script that returns a string.
func (m *marionette) text(script string, args ...any) string {
	m.t.Helper()
	var s string
	m.run(&s, script, args...)
	return s
}

// find waits for an element of the window, shadow trees included, that has the
// id, is seen and is enabled, and returns its reference.
func (m *marionette) find(id string) string {
	m.t.Helper()
	const script = `
		const all = root => [...root.querySelectorAll("*")].flatMap(e => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
		return all(document).find(e => e.id == arguments[0] && !e.disabled && e.checkVisibility() && e.getClientRects().length) ?? null;`
	var found map[string]string
	within(m.t, time.Minute, "the element "+id, func() bool {
		m.run(&found, script, id)
		return len(found) == 1
	})
	for _, reference := range found {
		return reference
	}
	return ""
}

func (m *marionette) click(id string) {
	m.t.Helper()
	m.do("WebDriver:ElementClick", map[string]any{"id": m.find(id)})
}

func (m *marionette) write(id, text string) {
	m.t.Helper()
	e := map[string]any{"id": m.find(id)}
	m.do("WebDriver:ElementClear", e)
	e["text"] = text
	m.do("WebDriver:ElementSendKeys", e)
}

// windows are the handles of the windows that are open.
func (m *marionette) windows() (all []string) {
	m.t.Helper()
	if err := json.Unmarshal(m.do("WebDriver:GetWindowHandles", nil), &all); err != nil {
		m.t.Fatal(err)
	}
	return all
}

func (m *marionette) enter(window string) {
	m.t.Helper()
	m.do("WebDriver:SwitchToWindow", map[string]any{"handle": window})
}

// within asks again until done says so.
func within(t testing.TB, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("%s: not after %v", what, limit)
}
