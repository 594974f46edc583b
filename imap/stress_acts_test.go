// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// act does one random thing.
func (c *stressClient) act() {
	c.learn()
	if c.w.over.Load() { // and what there is may not have been learnt
		return
	}
	switch n := c.random.IntN(100); {
	case n < 30:
		c.store()
	case n < 37:
		if n := c.numbers(); n != nil {
			c.fixed("FETCH %s (UID FLAGS MODSEQ)", set(n))
		}
	case n < 42:
		c.command("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", c.since(8))
	case n < 50:
		c.append()
	case n < 56:
		c.command("EXPUNGE")
	case n < 59:
		c.command("UID EXPUNGE %s", c.some())
	case n < 63:
		c.move("MOVE")
	case n < 65:
		c.move("COPY")
	case n < 71:
		c.subject()
	case n < 75:
		c.search()
	case n < 80:
		c.command("NOOP")
	case n < 83:
		c.idle()
	case n < 96:
		c.again()
	default: // the connection goes, and with it what was on its way
		if c.random.IntN(2) == 0 {
			_, _ = fmt.Fprintf(c.conn, "x STORE 1:* -FLAGS.SILENT (%s)\r\n", c.name)
		}
		c.conn.Close()
		c.conn = nil
	}
}

// since is a modseq of a while ago.
func (c *stressClient) since(most int) uint64 {
	return max(1, c.model.top()-min(c.model.top(), uint64(c.random.IntN(most))))
}

// fixed sends a command during which numbers may not move.
func (c *stressClient) fixed(format string, args ...any) string {
	c.model.fixed = true
	defer func() { c.model.fixed = false }()
	return c.command(format, args...)
}

// numbers chooses messages: their sequence numbers, ascending.
func (c *stressClient) numbers() []uint32 {
	if len(c.model.seq) == 0 {
		return nil
	}
	var out []uint32
	for range 1 + c.random.IntN(4) {
		out = append(out, uint32(1+c.random.IntN(len(c.model.seq))))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *stressClient) uids(numbers []uint32) []uint32 {
	var out []uint32
	for _, n := range numbers {
		out = append(out, c.model.seq[n-1].uid)
	}
	return out
}

// some is a set of UIDs, where there are none of what may have been one.
func (c *stressClient) some() string {
	if n := c.numbers(); n != nil {
		return set(c.uids(n))
	}
	return "1"
}

func (c *stressClient) store() {
	n := c.numbers()
	if n == nil {
		return
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, `\Answered`, c.name}[c.random.IntN(5)]
	op := []string{"+", "-", ""}[c.random.IntN(3)] + "FLAGS"
	which, verb := set(n), c.fixed
	command := "STORE"
	if c.random.IntN(2) == 0 {
		command, which, verb = "UID STORE", set(c.uids(n)), c.command
	}
	switch c.random.IntN(4) {
	case 0:
		verb("%s %s (UNCHANGEDSINCE %d) %s (%s)", command, which, c.since(20), op, flag)
		return
	case 1:
		// Silent: what comes of it is told only where it is not what the client
		// expects, and otherwise the new modseq alone.
		uids := c.uids(n)
		for _, uid := range uids {
			h := &c.model.seq[c.model.index(uid)]
			h.flags, h.modseq = applyTo(h.flags, op[0], flag), 0
		}
		verb("%s %s %s.SILENT (%s)", command, which, op, flag)
		return
	}
	verb("%s %s %s (%s)", command, which, op, flag)
}

func applyTo(flags string, op byte, flag string) string {
	f := strings.Fields(flags)
	switch op {
	case '+':
		f = append(f, flag)
	case '-':
		f = slices.DeleteFunc(f, func(s string) bool { return s == flag })
	default:
		f = []string{flag}
	}
	slices.Sort(f)
	return strings.Join(slices.Compact(f), " ")
}

func (c *stressClient) append() {
	subject := fmt.Sprintf("%s-%d", c.name, c.tag)
	text := message(subject)
	result := c.command("APPEND %q (%s) {%d+}\r\n%s", c.folder, c.name, len(text), text)
	if m := regexp.MustCompile(`\[APPENDUID \d+ (\d+)\]`).FindStringSubmatch(result); m != nil {
		c.is(c.folder, m[1], subject)
	} else {
		c.complain("no APPENDUID: %s", result)
	}
}

// move moves or copies into the other folder, where more than a few are left.
func (c *stressClient) move(verb string) {
	if verb == "COPY" && len(c.model.seq) > 40 {
		return
	}
	to := map[string]string{"INBOX": "Bozze", "Bozze": "INBOX"}[c.folder]
	c.command("UID %s %s %q", verb, c.some(), to)
}

// subject reads a message's subject: a UID is that of one message for ever.
func (c *stressClient) subject() {
	n := c.numbers()
	if n == nil {
		return
	}
	uid := c.uids(n)[0]
	lines, result := c.send("UID FETCH %d (BODY.PEEK[HEADER.FIELDS (SUBJECT)])", uid)
	for _, l := range lines {
		c.model.take(l)
		if m := regexp.MustCompile(`(?s)UID (\d+).*Subject: (\S+)\r\n`).FindStringSubmatch(l); m != nil {
			c.is(c.folder, m[1], m[2])
		}
	}
	if !strings.HasPrefix(result, "OK") {
		c.complain("%s", result)
	}
}

func (c *stressClient) is(folder, uid, subject string) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	key := folder + " " + uid
	if was, ok := c.w.subjects[key]; ok && was != subject {
		c.complain("UID %s was %q and is %q", uid, was, subject)
	}
	c.w.subjects[key] = subject
}

// search: what is found must be there.
func (c *stressClient) search() {
	c.model.fixed = true
	lines, result := c.send("SEARCH KEYWORD %s", c.name)
	for _, l := range lines {
		if found, ok := strings.CutPrefix(l, "* SEARCH "); ok {
			found, _, _ = strings.Cut(found, " (MODSEQ")
			for _, n := range numbersOf(strings.ReplaceAll(found, " ", ",")) {
				if n < 1 || int(n) > len(c.model.seq) {
					c.complain("found %d of %d", n, len(c.model.seq))
				}
			}
			continue
		}
		c.model.take(l)
	}
	c.model.fixed = false
	if !strings.HasPrefix(result, "OK") {
		c.complain("%s", result)
	}
}

func (c *stressClient) idle() {
	c.tag++
	tag := fmt.Sprintf("%s.%d", c.name, c.tag)
	c.note("C: " + tag + " IDLE")
	_ = c.conn.SetDeadline(time.Now().Add(30 * time.Second))
	_, _ = fmt.Fprintf(c.conn, "%s IDLE\r\n", tag)
	sent := false
	for {
		l, err := c.response()
		if err != nil {
			c.complain("IDLE: %v", err)
			return
		}
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			c.model.take(rest)
			return
		}
		c.model.take(l)
		if !sent {
			sent = true
			time.Sleep(time.Duration(c.random.IntN(20)) * time.Millisecond)
			c.note("C: DONE")
			_, _ = fmt.Fprint(c.conn, "DONE\r\n")
		}
	}
}

// again opens a folder once more. Who has QRESYNC and has been told everything
// comes back with what it knows, over a new connection or the same.
func (c *stressClient) again() {
	if !c.resyncs {
		c.open([]string{"INBOX", "INBOX", "Bozze"}[c.random.IntN(3)], false)
		return
	}
	// While it asks by number, what is gone is kept from it, but not the modseqs that
	// come after that.
	for c.command("NOOP"); c.learn(); c.command("NOOP") {
	}
	switch c.random.IntN(3) {
	case 0:
		c.command("UNSELECT")
	case 1:
		c.command("CLOSE") // what it removes is told to nobody but by its HIGHESTMODSEQ
		c.model.highest = 0
		c.open(c.folder, false)
		return
	}
	c.open(c.folder, true)
}
