// SPDX-License-Identifier: EUPL-1.2

package notify

import (
	"strings"
	"testing"
	"time"

	"pecd/storage"
)

// TestTextMessagesFit: one text message each, in the alphabet that every telephone
// has, with a mailbox of any length.
func TestTextMessagesFit(t *testing.T) {
	const signs = "@àèéìòù !\"#$%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_^{}\\[~]|"
	long := strings.Repeat("{^}~", 16) + "@" + strings.Repeat("ente-molto-lungo.", 10) + "pec.example.it"
	for _, address := range []string{"a@x.it", "o`neil_|@x.it", long} {
		n := storage.Notice{Address: address, Count: 1, First: time.Unix(1e9, 0), Last: time.Unix(1e9+200000, 0)}
		many := n
		many.Count = 1_000_000
		for _, text := range []string{
			shortArrivals(n, time.UTC), shortArrivals(many, time.UTC), shortFilling(address, 95),
			plain(confirmation("123456").Italian), plain(strings.Repeat("È così… ", 50)),
		} {
			if septets(text) > maxSMS || strings.Trim(text, signs) != "" {
				t.Errorf("%d septets: %q", septets(text), text)
			}
		}
		if text := shortArrivals(many, time.UTC); !strings.HasSuffix(text, " fra le 09/09 01:46 e le 11/09 09:20") {
			t.Errorf("%q", text)
		}
	}
	if text := plain(confirmation("123456").Italian); !strings.Contains(text, "123456") || !strings.HasSuffix(text, "ignora questo messaggio.") {
		t.Errorf("%q", text)
	}
	if _, body := filling("a@x.it", 80, 5<<30/2, 3<<30); !strings.Contains(body.Italian, "2,51 GB occupati su 3 GB.") {
		t.Errorf("%q", body.Italian)
	}
}
