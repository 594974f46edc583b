// SPDX-License-Identifier: EUPL-1.2

package roster

import (
	"fmt"
	"strings"
	"testing"

	"pecd/directory"
)

func TestRead(t *testing.T) {
	for name, file := range map[string]string{
		"as a spreadsheet saves it": "\ufeffIndirizzo;Tipologia;Intestatario;Utente;Nome;Permessi;Posta ordinaria\r\nUno@Z.example;Standard;\"Rossi; Mario\";;;;\r\n;;;;;;\r\n" +
			"due@z.example;massiva SMALL;Ufficio;anna;Anna;lettura,invio;no\r\ndue@z.example;;;bruno\r\n",
		"with commas, in another order": "nome,utente,permessi,indirizzo,tipologia,intestatario,posta_ordinaria\n,,,Uno@Z.example,standard,\"Rossi; Mario\",sì\n\n\n" +
			"Anna,anna,\"lettura,invio\",due@z.example,small,Ufficio,chiusa\n,bruno,,due@z.example,small,Ufficio,\n",
		"with tabs": "address\ttier\tholder\tuser\tname\tpermissions\tordinary\nUno@Z.example\tstandard\tRossi; Mario\n\n\ndue@z.example\tsmall\tUfficio\tanna\tAnna\tread,send\tno\ndue@z.example\t\t\tbruno",
	} {
		boxes, objections := Read([]byte(file), directory.SeedTiers())
		if len(objections) > 0 {
			t.Errorf("%s: %v", name, objections)
		}
		var got strings.Builder
		for _, b := range boxes {
			fmt.Fprintln(&got, b.Address, b.Tier, b.Holder, b.Ordinary)
			for _, u := range b.Users {
				fmt.Fprintf(&got, " %s %q %s\n", u.Login, u.Name, directory.PermissionNames(u.Permission))
			}
		}
		want := "uno@z.example standard Rossi; Mario true\n uno@z.example \"Rossi; Mario\" read,write,send,client,settings\n" +
			"due@z.example small Ufficio false\n anna \"Anna\" read,send\n bruno \"\" read,write,send,client,settings\n"
		if got.String() != want {
			t.Errorf("%s:\n%s", name, got.String())
		}
	}
}

func TestReadTellsLines(t *testing.T) {
	const head = "indirizzo;tipologia;intestatario;utente;nome;permessi;posta_ordinaria\n"
	for file, want := range map[string]string{
		"":                                "1 il file è vuoto",
		"\xff\xfei\x00":                   "0 il file non è testo in UTF-8",
		"indirizzo;x\n":                   "1 colonna sconosciuta: “x”",
		"indirizzo;indirizzo\n":           "1 colonna ripetuta",
		"indirizzo;nome\n":                "1 servono le colonne",
		head + "a@z.example\n":            "2 serve la tipologia",
		head + "\n\nx;standard":           "4 indirizzo non valido / malformed address: “x”",
		head + "a@z.example;xxl":          "2 tipologia di casella sconosciuta",
		head + "a@z.example;xl;;;;;forse": "2 posta_ordinaria",
		head + "a@z.example;xl;;;;tutto":  "2 permessi:",
		head + "a@z.example;xl;;;;;;;9":   "2 la riga ha più celle",
		head + "a@z.example;xl;A\na@z.example;small\na@z.example;;B":          "3 tipologia, intestatario|4 tipologia, intestatario",
		head + "a@z.example;xl;\"A\nB\nb@z.example;xl":                        "2 virgolette",
		head + "a@z.example;xl;\"A\nB\"\nx;xl":                                "4 indirizzo non valido",
		head + strings.Repeat("a@z.example;xl;;u\n", directory.MaxEnrolled+1): "5002 più di 5.000 righe",
		head + strings.Repeat("x", MaxBytes):                                  "0 il file supera",
		head + "x" + strings.Repeat("à", 100) + ";xl":                         "2 indirizzo non valido / malformed address: “x" + strings.Repeat("à", 59) + "…”",
	} {
		_, objections := Read([]byte(file), directory.SeedTiers())
		var got []string
		for _, o := range objections {
			got = append(got, fmt.Sprint(o.Line, " ", o.Text))
		}
		wants := strings.Split(want, "|")
		if len(got) != len(wants) {
			t.Errorf("%.80q: %q, want %q", file, got, wants)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], wants[i]) {
				t.Errorf("%.80q: %q, want %q", file, got[i], wants[i])
			}
		}
	}
}

// FuzzRead: whatever the file, it is read within bounds.
func FuzzRead(f *testing.F) {
	f.Add([]byte("indirizzo;tipologia\na@z.example;xl\n"))
	f.Add([]byte("\ufeffnome,utente,permessi,indirizzo,tipologia\n\"a\nb\",u,read,a@z.example,standard\n,,,a@z.example,\n"))
	tiers := directory.SeedTiers()
	f.Fuzz(func(t *testing.T, file []byte) {
		boxes, objections := Read(file, tiers)
		users := 0
		for _, b := range boxes {
			users += len(b.Users)
			if _, err := directory.CanonicalAddress(b.Address); err != nil || b.Tier == "" {
				t.Errorf("%+v", b)
			}
		}
		if users > directory.MaxEnrolled || len(objections) > len(file)+1 {
			t.Errorf("%d users, %d objections", users, len(objections))
		}
		for _, o := range objections {
			if len(o.Text) > 1000 || strings.ContainsAny(o.Text, "\r\n") {
				t.Errorf("%q", o.Text)
			}
		}
	})
}
