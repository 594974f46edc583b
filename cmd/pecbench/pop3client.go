// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"
)

// pop3Client is one POP3 session over implicit TLS.
type pop3Client struct {
	nc net.Conn
	r  *bufio.Reader
}

// dialPOP3 connects and logs in.
func dialPOP3(addr string, conf *tls.Config, user, password string) (*pop3Client, error) {
	nc, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr, conf)
	if err != nil {
		return nil, err
	}
	c := &pop3Client{nc, bufio.NewReader(nc)}
	err = c.answer("greeting")
	for _, command := range []string{"USER " + user, "PASS " + password} {
		if err == nil {
			err = c.run(command)
		}
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("POP3 login as %s: %w", user, err)
	}
	return c, nil
}

// run sends a command; the error is the server's -ERR or the connection's.
func (c *pop3Client) run(command string) error {
	if _, err := c.nc.Write([]byte(command + "\r\n")); err != nil {
		return err
	}
	verb, _, _ := strings.Cut(command, " ")
	return c.answer(verb)
}

func (c *pop3Client) answer(to string) error {
	line, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "+OK") {
		err = fmt.Errorf("POP3 %s: %s", to, strings.TrimSpace(line))
	}
	return err
}

// uidl counts the messages by the list of their identifiers.
func (c *pop3Client) uidl() (n int, err error) {
	if err := c.run("UIDL"); err != nil {
		return 0, err
	}
	for ; ; n++ {
		line, err := c.r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return n, err
		}
	}
}

func (c *pop3Client) quit() error {
	defer c.nc.Close()
	return c.run("QUIT")
}
