// SPDX-License-Identifier: EUPL-1.2

package ledger

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// full returns an event with every field set, by reflection, so that a field
// forgotten in the encoding is found.
func full(t testing.TB) Event {
	t.Helper()
	var e Event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		switch f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2026, 6, 3, 10, 15, 5+i%10, 123e6, time.UTC)))
		case []Recipient:
			f.Set(reflect.ValueOf([]Recipient{{"a@beta.example", Certified}, {"b@ordinary.example", Ordinary}}))
		case []string:
			f.Set(reflect.ValueOf([]string{"<one@alfa.example>", "<two@alfa.example>"}))
		default:
			switch f.Kind() {
			case reflect.String:
				f.SetString("<" + name + " è>")
			case reflect.Int, reflect.Int64:
				f.SetInt(int64(i + 1))
			case reflect.Uint32:
				f.SetUint(uint64(i + 1))
			default:
				t.Fatalf("field %s: kind %s not handled", name, f.Kind())
			}
		}
	}
	return e
}

func TestRoundTripOfEveryField(t *testing.T) {
	e := full(t)
	b := e.Encode()
	if !bytes.Equal(b, e.Encode()) {
		t.Fatal("not deterministic")
	}
	if bytes.ContainsAny(b, "\n\r") || !utf8.Valid(b) {
		t.Fatalf("not one line of UTF-8: %q", b)
	}
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, e) {
		t.Fatalf("\n got %+v\nwant %+v", got, e)
	}
	if !bytes.Equal(got.Encode(), b) {
		t.Fatal("encoding what was decoded differs")
	}
}

func TestEncodingIsStable(t *testing.T) {
	e := Event{
		At: time.Date(2026, 6, 3, 12, 15, 5, 0, time.FixedZone("CEST", 7200)), Kind: SubmissionAccepted,
		ID: "pecd1.x@alfa.example", Side: Own, Sender: "mario@alfa.example", Subject: `Oggetto "prova" <è>`,
		Recipients: []Recipient{{"b@beta.example", Certified}}, Channel: SMTP, Size: 12, Certified: 1,
	}
	const want = `{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":"submission.accepted","id":"pecd1.x@alfa.example","side":"own",` +
		`"sender":"mario@alfa.example","recipients":[{"address":"b@beta.example","type":"certificato"}],` +
		`"subject":"Oggetto \"prova\" <è>","bytes":12,"channel":"smtp","rcpt_pec":1}`
	if got := string(e.Encode()); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTextsAreBoundedAndHarmless(t *testing.T) {
	e := Event{
		At: time.Unix(0, 0), Kind: Delivered, Subject: strings.Repeat("è", 5000), Detail: "a\r\nInjected: b\x00\xff\u2028",
		Provider: strings.Repeat("p", 300), Related: []string{strings.Repeat("x", 2000)},
	}
	for i := range 1000 {
		e.Recipients = append(e.Recipients, Recipient{fmt.Sprintf("r%d@%s", i, strings.Repeat("x", 400)), Certified})
	}
	got, err := Decode(e.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(got.Subject); n != 1000 {
		t.Errorf("subject has %d characters", n)
	}
	if got.Detail != "a\uFFFD\uFFFDInjected: b\uFFFD\uFFFD\uFFFD" {
		t.Errorf("detail %q", got.Detail)
	}
	if len(got.Recipients) != 1000 || len(got.Recipients[999].Address) != 320 || !strings.HasPrefix(got.Recipients[999].Address, "r999@") {
		t.Errorf("%d recipients, last %q", len(got.Recipients), got.Recipients[len(got.Recipients)-1])
	}
	if len(got.Provider) != 255 || len(got.Related[0]) != 1000 {
		t.Errorf("provider %d, related %d", len(got.Provider), len(got.Related[0]))
	}
	if len(e.Recipients[0].Address) < 400 {
		t.Error("Encode changed the caller's event")
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"empty":         "",
		"not JSON":      "at=now",
		"null":          "null",
		"other version": `{"v":2,"at":"2026-06-03T10:15:05.000Z","kind":"access"}`,
		"no kind":       `{"v":1,"at":"2026-06-03T10:15:05.000Z"}`,
		"no time":       `{"v":1,"kind":"access"}`,
		"bad time":      `{"v":1,"at":"yesterday","kind":"access"}`,
		"bad next":      `{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":"access","next":"soon"}`,
		"two records":   `{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":"access"}{}`,
		"wrong type":    `{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":7}`,
		"too long":      strings.Repeat(" ", maxRecord+1),
	} {
		if e, err := Decode([]byte(in)); err == nil {
			t.Errorf("%s: read as %+v", name, e)
		}
	}
}

func TestDecodePassesOverUnknownFields(t *testing.T) {
	e, err := Decode([]byte(`{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":"access","later":{"x":1}}`))
	if err != nil || e.Kind != Access {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestKindsAreDistinct(t *testing.T) {
	seen := map[Kind]bool{}
	for _, k := range Kinds() {
		if k == "" || seen[k] || strings.ToLower(string(k)) != string(k) {
			t.Errorf("kind %q", k)
		}
		seen[k] = true
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full(f).Encode())
	f.Add([]byte(`{"v":1,"at":"2026-06-03T10:15:05.000Z","kind":"access"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := Decode(in)
		if err != nil {
			return
		}
		b := e.Encode()
		again, err := Decode(b)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		if !bytes.Equal(again.Encode(), b) {
			t.Fatalf("%s\n%s", again.Encode(), b)
		}
	})
}
