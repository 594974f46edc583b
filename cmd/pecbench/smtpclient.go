// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// smtpClient is one submission session over implicit TLS. It is as cheap as the
// protocol allows, because it shares the machine with what it measures: one
// write for the envelope, one for the message, and of replies the code only.
type smtpClient struct {
	nc         net.Conn
	r          *bufio.Reader
	buf        []byte
	pipelining bool
}

// dialSubmission connects and logs in.
func dialSubmission(addr string, conf *tls.Config, user, password string, pipelining bool) (*smtpClient, error) {
	c, err := dialSMTP(addr, conf, pipelining)
	if err != nil {
		return nil, err
	}
	token := base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
	if err := c.command(235, "AUTH PLAIN "+token); err != nil {
		c.close()
		return nil, fmt.Errorf("login as %s: %w", user, err)
	}
	return c, nil
}

func dialSMTP(addr string, conf *tls.Config, pipelining bool) (*smtpClient, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	c := &smtpClient{nc: nc, r: bufio.NewReader(nc)}
	if _, _, err = c.reply(); err == nil {
		_, err = nc.Write([]byte("EHLO bench.example\r\n"))
	}
	if err == nil {
		var text string
		var code int
		if code, text, err = c.reply(); err == nil && code != 250 {
			err = fmt.Errorf("EHLO: %d %s", code, text)
		}
		c.pipelining = pipelining && strings.Contains(strings.ToUpper(text), "PIPELINING")
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// reply reads one reply; the lines of its text are joined by newlines.
func (c *smtpClient) reply() (code int, text string, err error) {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return 0, "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) < 3 {
			return 0, "", fmt.Errorf("reply %q", line)
		}
		if code, err = strconv.Atoi(string(line[:3])); err != nil {
			return 0, "", fmt.Errorf("reply %q", line)
		}
		if len(line) == 3 || line[3] == ' ' {
			if code >= 400 || text != "" {
				text += string(line[3:])
			}
			return code, text, nil
		}
		text += string(line[4:]) + "\n"
	}
}

func (c *smtpClient) command(want int, line string) error {
	if _, err := c.nc.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	return c.want(want, line)
}

func (c *smtpClient) want(want int, what string) error {
	code, text, err := c.reply()
	if err != nil {
		return err
	}
	if code != want {
		verb, _, _ := strings.Cut(what, " ")
		return fmt.Errorf("%s: %d%s", verb, code, text)
	}
	return nil
}

// send submits a message and returns the time from the end of DATA to its 250.
// message has no line that begins with a dot. It is not kept.
func (c *smtpClient) send(from string, to []string, message []byte) (time.Duration, error) {
	if err := c.envelope(from, to); err != nil {
		return 0, err
	}
	// The last octets go with the dot: two writes would be two TLS records.
	c.buf = append(c.buf[:0], message...)
	c.buf = append(c.buf, ".\r\n"...)
	if _, err := c.nc.Write(c.buf); err != nil {
		return 0, err
	}
	sent := time.Now()
	if err := c.want(250, "end of DATA"); err != nil {
		return 0, err
	}
	return time.Since(sent), nil
}

func (c *smtpClient) envelope(from string, to []string) error {
	lines := make([]string, 0, len(to)+2)
	lines = append(lines, "MAIL FROM:<"+from+">")
	for _, r := range to {
		lines = append(lines, "RCPT TO:<"+r+">")
	}
	lines = append(lines, "DATA")
	if c.pipelining {
		c.buf = c.buf[:0]
		for _, l := range lines {
			c.buf = append(append(c.buf, l...), "\r\n"...)
		}
		if _, err := c.nc.Write(c.buf); err != nil {
			return err
		}
	}
	for i, l := range lines {
		want := 250
		if i == len(lines)-1 {
			want = 354
		}
		var err error
		if c.pipelining {
			err = c.want(want, l)
		} else {
			err = c.command(want, l)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *smtpClient) close() {
	_ = c.command(221, "QUIT")
	c.nc.Close()
}
