// SPDX-License-Identifier: EUPL-1.2

package sieve_test

import (
	"errors"
	"strings"
	"testing"

	"pecd/sieve"
)

// Each fault of a script is told with its line, in both languages.
func TestCompileRefuses(t *testing.T) {
	for script, want := range map[string]string{
		"discard;":                                         "riga 1: discard non è ammesso",
		"if true {\n discard;\n}":                          "riga 2: discard non è ammesso",
		"require \"vacation\";":                            "riga 1: vacation non è ammesso",
		"require [\"fileinto\",\n\"reject\"];":             "riga 1: reject non è ammesso",
		"require \"imap4flags\"; addflag \"\\\\Deleted\";": `riga 1: \Deleted non è ammesso`,
		"require \"regex\";":                               "riga 1: estensione non disponibile: regex",
		"\n\nfileinto \"A\";":                              `riga 3: manca require "fileinto"`,
		"require \"fileinto\"; fileinto :copy \"A\";":      `riga 1: manca require "copy"`,
		"require \"fileinto\"; fileinto :create \"A\";":    `riga 1: manca require "mailbox"`,
		"keep; require \"fileinto\";":                      "riga 1: require va all'inizio",
		"keep":                                             "riga 1: manca il punto e virgola dopo keep",
		"if true { keep;":                                  "riga 1: parentesi graffa non chiusa",
		"keep; } redirect \"a@b.it\";":                     "riga 1: } fuori posto",
		"elsif true { keep; }":                             "riga 1: elsif senza if",
		"if true {} else {} else {}":                       "riga 1: else senza if",
		"if { keep; }":                                     "riga 1: argomenti di if non validi",
		"if true;":                                         "riga 1: dopo if manca il blocco",
		"else {}":                                          "riga 1: else senza if",
		"if true false { }":                                "riga 1: argomenti di true non validi",
		"if not (true, false) { }":                         "riga 1: argomenti di not non validi",
		"if allof true { }":                                "riga 1: argomenti di allof non validi",
		"if body :contains \"x\" { }":                      "riga 1: condizione sconosciuta: body",
		"notify \"x\";":                                    "riga 1: comando sconosciuto: notify",
		"keep \"x\";":                                      "riga 1: argomenti di keep non validi",
		"stop {}":                                          "riga 1: blocco fuori posto dopo stop",
		"require \"fileinto\"; fileinto [\"A\",\"B\"];":    "riga 1: nome di cartella non valido",
		"require \"fileinto\"; fileinto \"A//B\";":         "riga 1: nome di cartella non valido",
		"require \"fileinto\"; fileinto \"\";":             "riga 1: nome di cartella non valido",
		"redirect \"non un indirizzo\";":                   "riga 1: indirizzo di inoltro non valido",
		"redirect \"a@b.it>\\r\\nBcc: <c@d.it\";":          "riga 1: indirizzo di inoltro non valido",
		"redirect 12;":                                     "riga 1: argomenti di redirect non validi",
		"if header :is :contains \"a\" \"b\" {}":           "riga 1: :contains contraddice",
		"if header :count \"a\" \"b\" {}":                  "riga 1: :count qui non è ammesso",
		"if header :comparator \"i;ascii-numeric\" \"a\" \"b\" {}": "riga 1: confronto non disponibile: i;ascii-numeric",
		"if header \"a b\" \"c\" {}":                               "riga 1: a b non è il nome di un campo",
		"if address \"subject\" \"c\" {}":                          "riga 1: subject non è un campo di indirizzi",
		"if size 10 {}":                                            "riga 1: size vuole :over oppure :under",
		"if size :over 10X {}":                                     "riga 1: unità sconosciuta dopo il numero: x",
		"if size :over 99999999999999999999 {}":                    "riga 1: numero troppo grande",
		"if size :over 9999999999G {}":                             "riga 1: numero troppo grande",
		"require \"envelope\"; if envelope \"auth\" \"c\" {}":      "riga 1: envelope conosce from e to, non auth",
		"if header [\"a\",] \"b\" {}":                              "riga 1: ] fuori posto",
		"if header [] \"b\" {}":                                    "riga 1: ] fuori posto",
		"\n\"x\" keep;":                                            "riga 2: argomento fuori posto",
		"keep; \n @":                                               "riga 2: carattere non previsto: @",
		"/* aperto":                                                "riga 1: commento non chiuso",
		"redirect \"aperto\n;":                                     "riga 1: virgolette non chiuse",
		"redirect text:\na@b.it\n":                                 "riga 1: testo su più righe non chiuso",
		"keep;\n#\xff":                                             "riga 2: il filtro non è testo UTF-8",
		"keep;\x00":                                                "riga 1: il filtro non è testo UTF-8",
		strings.Repeat("#", sieve.MaxScript+1):                     "riga 1: il filtro supera 64 KiB",
		strings.Repeat("keep;", 2001):                              "riga 1: troppi comandi",
		strings.Repeat("if true {", 30):                            "riga 1: troppi livelli",
		"if " + strings.Repeat("not ", 30) + "true {}":             "riga 1: troppi livelli",
	} {
		_, err := sieve.Compile(script)
		var e *sieve.Error
		if !errors.As(err, &e) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.80q: %v, want %s", script, err, want)
			continue
		}
		if e.English == "" || !strings.Contains(err.Error(), " / line ") || len(err.Error()) > 500 {
			t.Errorf("%.80q: %v", script, err)
		}
	}
}

func TestCompileTakes(t *testing.T) {
	for _, script := range []string{
		"", "# solo un commento", "keep;", "KEEP ;", "stop;", "if true{keep;}stop;",
		"require \"comparator-i;octet\";",
		"require [\"fileinto\", \"copy\", \"envelope\", \"imap4flags\", \"mailbox\"];\r\nfileinto :copy :create :flags [\"\\\\Seen\", \"$Fattura urgente\"] \"Fatture/2026\";",
		"if anyof (size :over 1M, not exists [\"X-A\", \"X-B\"], /* qui */ false) { } elsif true { } else { stop; }",
		"if header :comparator \"i;octet\" :matches [\"subject\"] \"*a?b\\\\*\" { keep; }",
		"if header \"subject\" text: # commento\nFattura\n..\n.\n{ keep; }",
		strings.Repeat("if true {", 19) + strings.Repeat("}", 19),
	} {
		if _, err := sieve.Compile(script); err != nil {
			t.Errorf("%.80q: %v", script, err)
		}
	}
}
