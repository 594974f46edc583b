// SPDX-License-Identifier: EUPL-1.2

package sasl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pecd/fault"
)

var errNo = errors.New("no")

// checks knows anna with the password "segreta" and the token "tok".
func checks(asked *[]string) Checks {
	return Checks{
		Password: func(login, password string) error {
			*asked = append(*asked, fmt.Sprintf("%q %q", login, password))
			if login == "anna" && password == "segreta" {
				return nil
			}
			return errNo
		},
		Token: func(login, token string) error {
			*asked = append(*asked, fmt.Sprintf("%q token %q", login, token))
			if (login == "anna" || login == "") && token == "tok" {
				return nil
			}
			return errNo
		},
	}
}

// step is what the client says (nil: nothing yet) and what it hears.
type step struct {
	response  []byte
	challenge string
	done      bool
	err       string // "", "no" for the check's error, "invalid" for one about the form
}

func said(s string) []byte { return []byte(s) }

func TestMechanisms(t *testing.T) {
	for name, c := range map[string]struct {
		mechanism string
		steps     []step
		asked     string
	}{
		"plain":                 {"plain", []step{{said("\x00anna\x00segreta"), "", true, ""}}, `"anna" "segreta"`},
		"plain, asked":          {Plain, []step{{nil, "", false, ""}, {said("anna\x00ANNA\x00x"), "", true, "no"}}, `"ANNA" "x"`},
		"plain, for another":    {Plain, []step{{said("carla\x00anna\x00segreta"), "", true, "no"}}, `"" "segreta"`},
		"plain, malformed":      {Plain, []step{{said("anna segreta"), "", true, "invalid"}}, ""},
		"plain, four parts":     {Plain, []step{{said("\x00anna\x00segreta\x00"), "", true, "invalid"}}, ""},
		"plain, endless name":   {Plain, []step{{said("\x00" + strings.Repeat("a", maxName+1) + "\x00segreta"), "", true, "no"}}, `"" ""`},
		"plain, twice":          {Plain, []step{{said("\x00anna\x00x"), "", true, "no"}, {said("\x00anna\x00segreta"), "", true, "invalid"}}, `"anna" "x"`},
		"endless":               {Plain, []step{{make([]byte, maxResponse+1), "", true, "invalid"}}, ""},
		"login":                 {"LOGIN", []step{{nil, "Username:", false, ""}, {said("anna"), "Password:", false, ""}, {said("segreta"), "", true, ""}}, `"anna" "segreta"`},
		"login, name at once":   {Login, []step{{said("anna"), "Password:", false, ""}, {said("x"), "", true, "no"}}, `"anna" "x"`},
		"login, going on":       {Login, []step{{said("anna"), "Password:", false, ""}, {said("x"), "", true, "no"}, {said("segreta"), "", true, "invalid"}}, `"anna" "x"`},
		"xoauth2":               {XOAuth2, []step{{said("user=anna\x01auth=Bearer tok\x01\x01"), "", true, ""}}, `"anna" token "tok"`},
		"xoauth2, asked":        {"xoauth2", []step{{nil, "", false, ""}, {said("user=anna\x01auth=bearer tok\x01\x01"), "", true, ""}}, `"anna" token "tok"`},
		"xoauth2, refused":      {XOAuth2, []step{{said("user=anna\x01auth=Bearer old\x01\x01"), refusal, false, ""}, {said(""), "", true, "no"}, {said(""), "", true, "invalid"}}, `"anna" token "old"`},
		"xoauth2, malformed":    {XOAuth2, []step{{said("user=anna\x01auth=Bearer tok\x01"), "", true, "invalid"}, {said("user=anna\x01auth=Bearer tok\x01\x01"), "", true, "invalid"}}, ""},
		"xoauth2, no token":     {XOAuth2, []step{{said("user=anna\x01auth=Bearer \x01\x01"), refusal, false, ""}, {nil, "", true, "invalid"}}, ""},
		"xoauth2, three fields": {XOAuth2, []step{{said("user=anna\x01x=y\x01auth=Bearer tok\x01\x01"), "", true, "invalid"}}, ""},
		"bearer":                {OAuthBearer, []step{{said("n,a=anna,\x01host=x\x01port=993\x01auth=Bearer tok\x01\x01"), "", true, ""}}, `"anna" token "tok"`},
		"bearer, no name":       {OAuthBearer, []step{{nil, "", false, ""}, {said("n,,\x01auth=Bearer tok\x01\x01"), "", true, ""}}, `"" token "tok"`},
		"bearer, refused":       {OAuthBearer, []step{{said("n,a=anna,\x01auth=Bearer old\x01\x01"), `{"status":"invalid_token","schemes":"bearer","scope":""}`, false, ""}, {said("\x01"), "", true, "no"}}, `"anna" token "old"`},
		// go-sasl panics here.
		"bearer, answered with nothing": {OAuthBearer, []step{{said("n,a=anna,\x01auth=Bearer old\x01\x01"), `{"status":"invalid_token","schemes":"bearer","scope":""}`, false, ""}, {said(""), "", true, "no"}}, `"anna" token "old"`},
		"bearer, malformed":             {OAuthBearer, []step{{said("y,,\x01auth=Bearer tok\x01\x01"), `{"status":"invalid_request","schemes":"bearer","scope":""}`, false, ""}, {said(""), "", true, "invalid"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			s := checks(&asked).New(c.mechanism)
			for i, st := range c.steps {
				challenge, done, err := s.Next(st.response)
				if string(challenge) != st.challenge || done != st.done || describe(err) != st.err {
					t.Fatalf("step %d: %q, %v, %v", i, challenge, done, err)
				}
			}
			if got := strings.Join(asked, "; "); got != c.asked {
				t.Errorf("asked %s", got)
			}
		})
	}
}

func describe(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errNo):
		return "no"
	case fault.Is(err, fault.Invalid):
		return "invalid"
	}
	return err.Error()
}

func TestTokensNeedAVerifier(t *testing.T) {
	c := Checks{Password: func(string, string) error { return nil }}
	if got := strings.Join(c.Mechanisms(), " "); got != "PLAIN LOGIN" {
		t.Error(got)
	}
	for _, m := range []string{XOAuth2, OAuthBearer, "CRAM-MD5", ""} {
		if c.New(m) != nil {
			t.Errorf("%s is offered", m)
		}
	}
	c.Token = func(string, string) error { return nil }
	if got := strings.Join(c.Mechanisms(), " "); got != "PLAIN LOGIN XOAUTH2 OAUTHBEARER" {
		t.Error(got)
	}
	for _, m := range c.Mechanisms() {
		if c.New(m) == nil {
			t.Errorf("%s is not made", m)
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add(byte(0), []byte("\x00anna\x00x"), []byte("x"))
	f.Add(byte(1), []byte("anna"), []byte("x"))
	f.Add(byte(2), []byte("user=anna\x01auth=Bearer tok\x01\x01"), []byte(""))
	f.Add(byte(3), []byte("n,a=anna,\x01auth=Bearer tok\x01\x01"), []byte(""))
	f.Fuzz(func(t *testing.T, which byte, first, second []byte) {
		asked := 0
		no := func(string, string) error { asked++; return errNo }
		c := Checks{Password: no, Token: no}
		s := c.New(c.Mechanisms()[which%4])
		for _, r := range [][]byte{nil, first, second, {}} {
			_, done, err := s.Next(r)
			if done && err == nil {
				t.Fatal("let in by a check that says no")
			}
			if done || err != nil {
				break
			}
		}
		if asked > 1 {
			t.Fatalf("asked %d times", asked)
		}
	})
}
