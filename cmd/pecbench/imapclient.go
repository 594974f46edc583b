// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// imapClient is one IMAP session over implicit TLS. A library's client builds
// values of everything it reads; this one counts lines and hands literals over,
// so that what is measured is the server.
type imapClient struct {
	nc  net.Conn
	r   *bufio.Reader
	tag int
	buf []byte
}

// dialIMAP connects and logs in.
func dialIMAP(addr string, conf *tls.Config, user, password string) (*imapClient, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	c := &imapClient{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)}
	if _, err := c.line(); err != nil {
		nc.Close()
		return nil, err
	}
	if err := c.run(fmt.Sprintf("LOGIN %s %s", quoted(user), quoted(password)), nil); err != nil {
		nc.Close()
		return nil, fmt.Errorf("IMAP login as %s: %w", user, err)
	}
	return c, nil
}

func quoted(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }

// line reads one line without its end; valid until the next call.
func (c *imapClient) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		c.buf = append(c.buf[:0], line...)
		for err == bufio.ErrBufferFull {
			line, err = c.r.ReadSlice('\n')
			c.buf = append(c.buf, line...)
		}
		line = c.buf
	}
	return bytes.TrimRight(line, "\r\n"), err
}

// untagged is a response without its "* ", its first literal apart.
type untagged struct {
	line    []byte // up to the literal's {n}
	literal []byte // nil without one
}

// run sends a command and gives each untagged response to each, which keeps
// nothing of it. The error is the server's NO or BAD, the connection's or that
// of each.
func (c *imapClient) run(command string, each func(untagged) error) error {
	tag, err := c.begin(command)
	if err != nil {
		return err
	}
	return c.finish(tag, command, each)
}

func (c *imapClient) begin(command string) (tag string, err error) {
	c.tag++
	tag = "b" + strconv.Itoa(c.tag)
	_, err = c.nc.Write([]byte(tag + " " + command + "\r\n"))
	return tag, err
}

func (c *imapClient) finish(tag, command string, each func(untagged) error) error {
	var literal []byte
	var failed error
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if rest, ok := bytes.CutPrefix(line, []byte(tag+" ")); ok {
			if !bytes.HasPrefix(rest, []byte("OK")) {
				verb, _, _ := strings.Cut(command, " ")
				return fmt.Errorf("IMAP %s: %s", verb, rest)
			}
			return failed
		}
		u := untagged{line: bytes.TrimPrefix(line, []byte("* "))}
		if n, ok := literalSize(line); ok {
			head := bytes.Clone(u.line)
			if cap(literal) < n {
				literal = make([]byte, n)
			}
			literal = literal[:n]
			if _, err := io.ReadFull(c.r, literal); err != nil {
				return err
			}
			if _, err := c.line(); err != nil { // what follows the literal
				return err
			}
			u = untagged{head, literal}
		}
		if each != nil && failed == nil {
			failed = each(u)
		}
	}
}

func literalSize(line []byte) (int, bool) {
	if len(line) == 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[open+1 : len(line)-1]))
	return n, err == nil
}

// messages is the number of messages in INBOX, by STATUS: the folder is not
// selected, so that the server tells nothing meanwhile.
func (c *imapClient) messages() (n int, err error) {
	err = c.run("STATUS INBOX (MESSAGES)", func(u untagged) error {
		_, count, ok := bytes.Cut(u.line, []byte("MESSAGES "))
		if !ok {
			return nil
		}
		n, err = strconv.Atoi(strings.TrimRight(string(count), " )"))
		return err
	})
	return n, err
}

func (c *imapClient) close() {
	_ = c.run("LOGOUT", nil)
	c.nc.Close()
}
