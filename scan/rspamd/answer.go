// SPDX-License-Identifier: EUPL-1.2

package rspamd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"

	"pecd/fault"
)

// ask sends one message to one address and reads the answer.
func (c *Client) ask(ctx context.Context, url string, m Message, body io.Reader, size int64) (Verdict, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fire, release := c.cfg.Clock.After(c.cfg.Timeout)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-fire:
			cancel(fmt.Errorf("no answer within %v", c.cfg.Timeout))
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(nil); release(); <-watched }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.NopCloser(body))
	if err != nil {
		return Verdict{}, err
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody
	}
	m.header(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Verdict{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case ctx.Err() != nil:
		return Verdict{}, context.Cause(ctx)
	case err != nil:
		return Verdict{}, err
	case len(answer) > maxAnswer:
		return Verdict{}, fmt.Errorf("an answer of more than %d octets", maxAnswer)
	case aboutMessage(resp.StatusCode):
		return Verdict{Skipped: "refused: " + resp.Status[:min(len(resp.Status), 100)]}, nil
	case resp.StatusCode != http.StatusOK:
		return Verdict{}, fmt.Errorf("status %d", resp.StatusCode)
	}
	return parse(answer)
}

// aboutMessage tells whether a status is about this message, not about this engine
// or about who asks: a wrong address, or one that wants a password, would let all
// mail pass unchecked without anybody knowing.
func aboutMessage(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status == http.StatusUnprocessableEntity
}

// Ping returns nil when one of the addresses answers.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connect)
	defer cancel()
	var why []string
	for i, p := range c.peers {
		err := c.ping(ctx, strings.TrimSuffix(p.url, "checkv2")+"ping")
		if err == nil {
			return nil
		}
		why = append(why, fmt.Sprintf("rspamd %s: %v", c.cfg.Addresses[i], bare(err)))
	}
	return fault.New("rspamd.Ping", fault.Temporary, errors.New(strings.Join(why, "; ")))
}

func (c *Client) ping(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// header tells what is known of a message. Values are cut and freed of what no
// header may carry.
func (m Message) header(h http.Header) {
	const maxRecipients = 100
	set := func(key, value string) {
		if value = clean(value); value != "" {
			h.Add(key, value)
		}
	}
	set("From", m.From)
	for _, r := range m.Recipients[:min(len(m.Recipients), maxRecipients)] {
		set("Rcpt", r)
	}
	set("IP", m.IP)
	set("Helo", m.Helo)
	set("User", m.User)
	set("Queue-Id", m.ID)
}

func clean(s string) string {
	const most = 320
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	return s[:min(len(s), most)]
}

// parse reads an answer. What is not an answer of rspamd is an error, and never
// "no spam".
func parse(answer []byte) (Verdict, error) {
	var a struct {
		Skipped  bool     `json:"is_skipped"`
		Score    *float64 `json:"score"`
		Required float64  `json:"required_score"`
		Action   string   `json:"action"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return Verdict{}, fmt.Errorf("an answer that is not understood: %w", err)
	}
	actions := []string{"no action", "greylist", "add header", "rewrite subject", "soft reject", "reject", "quarantine", "discard"}
	if a.Score == nil || math.IsNaN(*a.Score) || !slices.Contains(actions, a.Action) {
		return Verdict{}, fault.New("rspamd.parse", fault.Temporary, fmt.Errorf("an answer without score or action"))
	}
	v := Verdict{Score: *a.Score, Required: a.Required, Action: a.Action}
	// To put a message off (greylisting, rates) is not to call it spam. What rspamd
	// refuses without having looked further is "skipped", too.
	v.Spam = a.Action == "add header" || a.Action == "rewrite subject" || a.Action == "reject" || a.Action == "quarantine" || a.Action == "discard"
	if a.Skipped && !v.Spam {
		v.Skipped = "skipped"
	}
	return v, nil
}
