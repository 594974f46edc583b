// SPDX-License-Identifier: EUPL-1.2

package smtp

import (
	"fmt"
	"strings"

	gosmtp "github.com/emersion/go-smtp"

	"pecd/fault"
)

// answer is one reply line: code, enhanced status code (RFC 3463) and text,
// Italian first.
type answer struct {
	code     int
	enhanced [3]int
	text     string
}

func (a answer) err() *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: a.code, EnhancedCode: a.enhanced, Message: wireText(a.text)}
}

// answerTo is the reply to a failure of another room: its kind alone decides.
func answerTo(err error) answer {
	c := fault.CodesOf(err)
	return answer{c.SMTP, c.Enhanced, c.Text}
}

// tooLarge answers a message of more octets than it may have, with how many that is.
func tooLarge(op string, most int64) error {
	it, en := fmt.Sprintf("%d byte", most), fmt.Sprintf("%d octets", most)
	if most > 0 && most%(1<<20) == 0 {
		it = fmt.Sprintf("%d MB", most>>20)
		en = it
	}
	return fault.Say(op, fault.TooLarge, "messaggio troppo grande: al massimo "+it+" / message too large: at most "+en)
}

// What the protocol itself has to say; everything else comes from package fault.
func authRequired() answer {
	return answer{530, [3]int{5, 7, 0}, "autenticazione necessaria / authentication required"}
}

func tlsRequired() answer {
	return answer{530, [3]int{5, 7, 0}, "cifrare prima con STARTTLS / must issue a STARTTLS command first"}
}

func authNeedsTLS() answer {
	return answer{538, [3]int{5, 7, 11}, "autenticazione solo su connessione cifrata, usare STARTTLS / encryption required for authentication"}
}

func authFailed() answer {
	return answer{535, [3]int{5, 7, 8}, "utente o password errati / authentication failed"}
}

func authUnavailable() answer {
	return answer{454, [3]int{4, 7, 0}, "autenticazione momentaneamente non disponibile, riprovare / temporary authentication failure"}
}

func authTooMany() answer {
	return answer{421, [3]int{4, 7, 0}, "troppi tentativi di accesso, riprovare piu' tardi / too many failed logins, try again later"}
}

func authMalformed() answer {
	return answer{501, [3]int{5, 5, 2}, "dati di autenticazione non validi / invalid authentication data"}
}

func authMechanism() answer {
	return answer{504, [3]int{5, 5, 4}, "meccanismo di autenticazione non disponibile / mechanism not available"}
}

func badSequence() answer {
	return answer{503, [3]int{5, 5, 1}, "comando fuori sequenza / bad sequence of commands"}
}

func tooManyRecipients() answer {
	return answerTo(fault.Say("smtp.Rcpt", fault.TooMany, "troppi destinatari per questo messaggio / too many recipients"))
}

func closingDown() answer {
	return answer{421, [3]int{4, 3, 2}, "servizio in chiusura, riprovare / service shutting down, try again"}
}

func idleTooLong() answer {
	return answer{421, [3]int{4, 4, 2}, "tempo scaduto, chiudo la connessione / timeout, closing connection"}
}

func tooManyConnections() answer {
	return answer{421, [3]int{4, 7, 0}, "troppe connessioni, riprovare piu' tardi / too many connections, try again later"}
}

func tooMuchInFlight() answer {
	return answer{452, [3]int{4, 3, 1}, "troppi messaggi in arrivo, riprovare piu' tardi / too much mail in transit, try again later"}
}

func tooManyErrors() answer {
	return answer{421, [3]int{4, 7, 0}, "troppi errori o comandi a vuoto / too many errors or idle commands"}
}

func bareLineEnd() answer {
	return answer{521, [3]int{5, 5, 2}, "CR o LF isolato in un comando, chiudo / bare CR or LF in a command, closing"}
}

func bareInMessage() error {
	return fault.Say("smtp.Data", fault.Invalid, "il messaggio contiene CR o LF isolati / message contains bare CR or LF")
}

// translate is what the library's reply becomes on the wire. Where the library
// answers with a code RFC 5321 or RFC 4954 does not have for the case, the code
// is put right as well. Our own replies pass unchanged.
func translate(code int, text string) (answer, bool) {
	switch text {
	case "Session reset":
		return answer{250, [3]int{2, 0, 0}, "azzerato / reset"}, true
	case "I have successfully done nothing":
		return answer{250, [3]int{2, 0, 0}, "ok"}, true
	case "Bye":
		return answer{221, [3]int{2, 0, 0}, "arrivederci / bye"}, true
	case "Cannot VRFY user, but will accept message":
		return answer{252, [3]int{2, 5, 0}, "verifica non disponibile / cannot verify"}, true
	case "Authentication succeeded":
		return answer{235, [3]int{2, 7, 0}, "autenticato / authentication succeeded"}, true
	case "Negotiation cancelled":
		return answer{501, [3]int{5, 7, 0}, "autenticazione annullata / authentication cancelled"}, true
	case "Invalid base64 data":
		return authMalformed(), true
	case "Unsupported authentication mechanism":
		return answer{502, [3]int{5, 5, 1}, "AUTH non disponibile su questa porta / AUTH not available here"}, true
	case "Already authenticated", "Please introduce yourself first.", "Missing RCPT TO command.", "Missing MAIL FROM command.":
		return badSequence(), true
	case "Missing parameter", "Domain/address argument required for HELO", "DATA command should not have any arguments",
		"Unable to parse MAIL ESMTP parameters", "Unable to parse RCPT ESMTP parameters", "Unable to parse SIZE as an integer",
		"Unknown BODY value", "Malformed AUTH parameter value", "Malformed AUTH parameter mailbox":
		return answer{501, [3]int{5, 5, 4}, "parametri non validi / invalid parameters"}, true
	case "Unknown MAIL FROM argument", "Unknown RCPT TO argument":
		return answer{555, [3]int{5, 5, 4}, "parametro non riconosciuto / parameter not recognised"}, true
	case "Was expecting MAIL arg syntax of FROM:<address>":
		return answer{501, [3]int{5, 1, 7}, "mittente non valido / invalid sender address"}, true
	case "Was expecting RCPT arg syntax of TO:<address>":
		return answer{501, [3]int{5, 1, 3}, "destinatario non valido / invalid recipient address"}, true
	case "Error: bad syntax", "Bad command":
		return answer{500, [3]int{5, 5, 2}, "comando non riconosciuto / command not recognised"}, true
	case "Too many errors. Quiting now":
		return tooManyErrors(), true
	case "Idle timeout, bye bye":
		return idleTooLong(), true
	case "Internal server error":
		a := answerTo(fault.New("smtp", fault.Internal, nil))
		a.code = 421
		return a, true
	}
	switch {
	case strings.HasPrefix(text, "Roger, accepting mail from"):
		return answer{250, [3]int{2, 1, 0}, "mittente accettato / sender ok"}, true
	case strings.HasPrefix(text, "I'll make sure"):
		return answer{250, [3]int{2, 1, 5}, "destinatario accettato / recipient ok"}, true
	case code == 500 && strings.HasPrefix(text, "Syntax errors, "):
		return answer{500, [3]int{5, 5, 2}, "comando non riconosciuto / command not recognised"}, true
	case code == 502 && strings.HasSuffix(text, "command not implemented"):
		return answer{502, [3]int{5, 5, 1}, "comando non disponibile / command not implemented"}, true
	case code == 504 && strings.HasSuffix(text, "is not implemented"):
		return answer{555, [3]int{5, 5, 4}, "parametro non disponibile / parameter not available"}, true
	}
	return answer{}, false
}

// maxReplyText keeps a reply line within the 512 octets of RFC 5321 §4.5.3.1.5.
const maxReplyText = 480

// wireText makes text fit for a reply: one line of printable ASCII, accented
// letters written the way Italians type them without the keys for it.
func wireText(text string) string {
	var b strings.Builder
	for _, r := range text {
		if b.Len() >= maxReplyText {
			break
		}
		switch {
		case r >= ' ' && r <= '~':
			b.WriteRune(r)
		case r == '\r' || r == '\n' || r == '\t':
			b.WriteByte(' ')
		default:
			b.WriteString(unaccented(r))
		}
	}
	return strings.TrimSpace(b.String())
}

func unaccented(r rune) string {
	switch r {
	case 'à', 'á':
		return "a'"
	case 'è', 'é':
		return "e'"
	case 'ì', 'í':
		return "i'"
	case 'ò', 'ó':
		return "o'"
	case 'ù', 'ú':
		return "u'"
	case 'À':
		return "A'"
	case 'È', 'É':
		return "E'"
	case 'Ì':
		return "I'"
	case 'Ò':
		return "O'"
	case 'Ù':
		return "U'"
	case '’', '‘':
		return "'"
	case '“', '”', '«', '»':
		return `"`
	case '–', '—':
		return "-"
	}
	return "?"
}

// splitEnhanced takes an enhanced status code off the front of text.
func splitEnhanced(text string) (enhanced [3]int, rest string, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != 3 || len(parts[0]) != 1 {
		return enhanced, text, false
	}
	for i, p := range parts {
		if len(p) == 0 || len(p) > 3 {
			return enhanced, text, false
		}
		for _, c := range []byte(p) {
			if c < '0' || c > '9' {
				return enhanced, text, false
			}
			enhanced[i] = enhanced[i]*10 + int(c-'0')
		}
	}
	if c := enhanced[0]; c != 2 && c != 4 && c != 5 {
		return [3]int{}, text, false
	}
	return enhanced, rest, true
}
