// SPDX-License-Identifier: EUPL-1.2

// Package scan looks for viruses: an Engine (clamd) finds, and a Scanner makes
// a verdict of it by policy (RFC 6109 §3.1.3, §3.2.3). It fails closed: an
// engine that does not answer, or not as it should, is an error and never a
// clean message.
package scan

import (
	"context"
	"io"
	"strings"
)

// Engine looks into one message. An error is not a verdict: whoever asked has
// to try again later. Implementations are safe for concurrent use.
type Engine interface {
	// Scan reads r to its end, unless it fails. Errors of r are passed on.
	Scan(ctx context.Context, r io.Reader) (Finding, error)
}

// Finding is what an engine says of a message.
type Finding struct {
	// Name is the engine's name of what it found, made by Found; "" is clean.
	Name string
}

// Pool is an engine that consists of several, any of which may be the one to
// answer. A self-test looks at each.
type Pool interface {
	Engine
	// Members returns the engines, in the order of their configuration.
	Members() []Member
}

// Member is one engine of a pool.
type Member struct {
	Address string
	Engine  Engine
}

const (
	maxName = 200
	unnamed = "unnamed"
)

// Found returns the finding of something the engine calls name. The name goes
// into headers, XML and logs: other than printable ASCII becomes '?', and what
// is longer than 200 octets is cut. It is never empty.
func Found(name string) Finding {
	if name = printable(name); name == "" {
		name = unnamed
	}
	return Finding{Name: name}
}

// printable returns the first 200 octets of s without leading and trailing
// blanks, with '?' for every octet that is not printable ASCII.
func printable(s string) string {
	s = strings.Trim(s, " \t\r\n")
	b := []byte(s[:min(len(s), maxName)])
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			b[i] = '?'
		}
	}
	return strings.TrimRight(string(b), " ")
}
