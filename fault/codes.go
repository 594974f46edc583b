// SPDX-License-Identifier: EUPL-1.2

package fault

import "net/http"

// Codes are the answers of every protocol to one kind of failure.
type Codes struct {
	SMTP     int    // RFC 5321 §4.2.1
	Enhanced [3]int // RFC 3463
	IMAP     string // response code of RFC 9051 §7.1, "" for none
	HTTP     int
	Text     string // Italian first, then English; used where the error has no text of its own
}

// CodesOf returns the codes for err's kind, with err's own text where it has one.
func CodesOf(err error) Codes {
	c := codesOf(KindOf(err))
	if t := TextOf(err); t != "" {
		c.Text = t
	}
	return c
}

func codesOf(k Kind) Codes {
	switch k {
	case Temporary:
		return Codes{451, [3]int{4, 3, 0}, "UNAVAILABLE", http.StatusServiceUnavailable, "servizio momentaneamente non disponibile, riprovare / temporarily unavailable, try again"}
	case Invalid:
		return Codes{550, [3]int{5, 6, 0}, "CLIENTBUG", http.StatusUnprocessableEntity, "richiesta non valida / invalid request"}
	case NotFound:
		return Codes{550, [3]int{5, 1, 1}, "NONEXISTENT", http.StatusNotFound, "indirizzo non valido / no such mailbox"}
	case Exists:
		return Codes{550, [3]int{5, 5, 0}, "ALREADYEXISTS", http.StatusConflict, "esiste gia' / already exists"}
	case Denied:
		return Codes{550, [3]int{5, 7, 1}, "NOPERM", http.StatusForbidden, "operazione non consentita / not permitted"}
	case Quota:
		return Codes{452, [3]int{4, 2, 2}, "OVERQUOTA", http.StatusInsufficientStorage, "casella piena / mailbox full"}
	case TooLarge:
		return Codes{552, [3]int{5, 3, 4}, "TOOBIG", http.StatusRequestEntityTooLarge, "messaggio troppo grande / message too large"}
	case TooMany:
		return Codes{452, [3]int{4, 5, 3}, "LIMIT", http.StatusTooManyRequests, "limite superato / limit exceeded"}
	case Disabled:
		return Codes{550, [3]int{5, 2, 1}, "NOPERM", http.StatusForbidden, "casella non attiva / mailbox disabled"}
	case Conflict:
		return Codes{451, [3]int{4, 3, 0}, "INUSE", http.StatusConflict, "risorsa in uso, riprovare / in use, try again"}
	case Unsupported:
		return Codes{554, [3]int{5, 6, 3}, "CANNOT", http.StatusNotImplemented, "operazione non disponibile / not supported"}
	case Infected:
		return Codes{554, [3]int{5, 7, 1}, "CANNOT", http.StatusUnprocessableEntity, "messaggio rifiutato: contiene un virus / message refused: virus found"}
	case Unwanted:
		return Codes{554, [3]int{5, 7, 1}, "CANNOT", http.StatusUnprocessableEntity, "messaggio rifiutato: contenuto non desiderato / message refused: unwanted contents"}
	case Busy:
		return Codes{451, [3]int{4, 3, 2}, "UNAVAILABLE", http.StatusServiceUnavailable, "sistema al massimo carico, riprovare fra qualche minuto / system at full load, try again in some minutes"}
	case NoSpace:
		return Codes{452, [3]int{4, 3, 1}, "UNAVAILABLE", http.StatusInsufficientStorage, "spazio esaurito sul sistema, riprovare piu' tardi / no room on the system, try again later"}
	case Limited:
		return Codes{452, [3]int{4, 7, 1}, "LIMIT", http.StatusTooManyRequests, "limite di invio raggiunto, riprovare piu' tardi / sending limit reached, try again later"}
	}
	return Codes{451, [3]int{4, 3, 0}, "SERVERBUG", http.StatusInternalServerError, "errore interno, riprovare / internal error, try again"}
}
