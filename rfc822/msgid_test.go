// SPDX-License-Identifier: EUPL-1.2

package rfc822

import (
	"strings"
	"testing"
)

func TestMessageID(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for field, want := range map[string]string{
		"Message-ID: <a@b>\r\n":                       "a@b",
		"message-id:<a@b>\r\n":                        "a@b",
		"Message-ID:\r\n <a@b>\r\n":                   "a@b",
		"Message-ID: <a@\r\n\tb>\r\n":                 "a@b",
		"Message-ID: (c) <a@b> <c@d>\r\n":             "a@b",
		"Message-ID: a@b\r\n":                         "a@b",
		"Message-ID: <a@b\r\n":                        "a@b",
		"Message-ID: <A@b>\r\n":                       "A@b",
		"Message-ID: <>\r\n":                          "",
		"Message-ID: \r\n":                            "",
		"Subject: x\r\n":                              "",
		"Message-ID: <a@b>\r\nMessage-ID: <c@d>\r\n":  "a@b",
		"Message-ID: <" + long + ">\r\n":              long[:maxMessageID],
		"Message-ID: <\xff\xfe@b>\r\nX: \xff\r\n":     "\ufffd\ufffd@b",
		"X-Riferimento-Message-ID: <a@b>\r\nX: y\r\n": "",
	} {
		h, err := ParseHeader([]byte(field+"\r\n"), DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if got := MessageID(h); got != want {
			t.Errorf("%q: %q, want %q", field, got, want)
		}
	}
}
