// SPDX-License-Identifier: EUPL-1.2

package pec

import "strings"

// Kind is what a message is to certified mail: one of the twelve messages of
// RFC 6109 §3, or None for everything else.
type Kind uint8

// The messages of RFC 6109. The two virus notices and the two timeout notices
// share their type with the plain ones in daticert.xml, but have their own
// headers or texts.
const (
	None               Kind = iota // ordinary mail, or a PEC message that breaks the form
	Acceptance                     // ricevuta di accettazione, §3.1.4
	NonAcceptance                  // avviso di non accettazione, §3.1.2
	NonAcceptanceVirus             // avviso di non accettazione per virus, §3.1.3
	TransportEnvelope              // busta di trasporto, §3.1.5
	TakeCharge                     // ricevuta di presa in carico, §3.2.1
	Delivery                       // ricevuta di avvenuta consegna, §3.3.2
	NonDelivery                    // avviso di mancata consegna, §3.3.3
	NonDeliveryVirus               // avviso di mancata consegna per virus, §3.2.4
	Timeout12                      // avviso di mancata consegna dopo 12 ore, §3.1.6
	Timeout24                      // avviso di mancata consegna dopo 24 ore, §3.1.6
	VirusDetection                 // avviso di rilevazione virus, §3.2.3
	AnomalyEnvelope                // busta di anomalia, §3.2.2
)

// kindFacts is one row of the header table, pec-rules §2.1.
type kindFacts struct {
	name      string // of the kind, distinct
	certType  string // postacert/@tipo; "" where there is no daticert.xml
	receipt   string // X-Ricevuta
	transport string // X-Trasporto
	security  string // X-VerificaSicurezza
	prefix    string // of Subject, with its blank
	title     string // Italian name
	heading   string // of the text, in Italian (pec-rules §2.4)
	headingEN string
}

// facts looks a kind up; an unknown one has the facts of None.
func (k Kind) facts() kindFacts {
	switch k {
	case Acceptance:
		return kindFacts{name: "accettazione", certType: "accettazione", receipt: "accettazione",
			prefix: "ACCETTAZIONE: ", title: "Ricevuta di accettazione",
			heading: "Ricevuta di accettazione", headingEN: "Acceptance receipt"}
	case NonAcceptance:
		return kindFacts{name: "non-accettazione", certType: "non-accettazione", receipt: "non-accettazione",
			prefix:  "AVVISO DI NON ACCETTAZIONE: ",
			title:   "Avviso di non accettazione",
			heading: "Errore nell'accettazione del messaggio", headingEN: "Error in message acceptance"}
	case NonAcceptanceVirus:
		return kindFacts{name: "non-accettazione-virus", certType: "non-accettazione", receipt: "non-accettazione",
			security: "errore", prefix: "AVVISO DI NON ACCETTAZIONE PER VIRUS: ",
			title:     "Avviso di non accettazione per virus",
			heading:   "Errore nell'accettazione del messaggio per presenza di virus",
			headingEN: "Error in message acceptance due to virus presence"}
	case TransportEnvelope:
		return kindFacts{name: "posta-certificata", certType: "posta-certificata", transport: "posta-certificata",
			prefix: "POSTA CERTIFICATA: ", title: "Busta di trasporto",
			heading: "Messaggio di posta certificata", headingEN: "Certified mail message"}
	case TakeCharge:
		return kindFacts{name: "presa-in-carico", certType: "presa-in-carico", receipt: "presa-in-carico",
			prefix: "PRESA IN CARICO: ", title: "Ricevuta di presa in carico",
			heading: "Ricevuta di presa in carico", headingEN: "Server-server acceptance receipt"}
	case Delivery:
		return kindFacts{name: "avvenuta-consegna", certType: "avvenuta-consegna", receipt: "avvenuta-consegna",
			prefix: "CONSEGNA: ", title: "Ricevuta di avvenuta consegna",
			heading: "Ricevuta di avvenuta consegna", headingEN: "Delivery receipt"}
	case NonDelivery:
		return kindFacts{name: "errore-consegna", certType: "errore-consegna", receipt: "errore-consegna",
			prefix: "AVVISO DI MANCATA CONSEGNA: ", title: "Avviso di mancata consegna",
			heading: "Avviso di mancata consegna", headingEN: "Non-delivery notice"}
	case NonDeliveryVirus:
		return kindFacts{name: "errore-consegna-virus", certType: "errore-consegna", receipt: "errore-consegna",
			security: "errore", prefix: "AVVISO DI MANCATA CONSEGNA PER VIRUS: ",
			title:   "Avviso di mancata consegna per virus",
			heading: "Avviso di mancata consegna per virus", headingEN: "Non-delivery notice due to virus"}
	case Timeout12:
		return kindFacts{name: "preavviso-errore-consegna-12h", certType: "preavviso-errore-consegna",
			receipt: "preavviso-errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ",
			title:   "Avviso di mancata consegna per superamento dei tempi massimi",
			heading: "Avviso di mancata consegna", headingEN: "Non-delivery notice"}
	case Timeout24:
		return kindFacts{name: "preavviso-errore-consegna-24h", certType: "preavviso-errore-consegna",
			receipt: "preavviso-errore-consegna", prefix: "AVVISO DI MANCATA CONSEGNA PER SUP. TEMPO MASSIMO: ",
			title:   "Avviso di mancata consegna per superamento dei tempi massimi",
			heading: "Avviso di mancata consegna", headingEN: "Non-delivery notice"}
	case VirusDetection:
		return kindFacts{name: "rilevazione-virus", certType: "rilevazione-virus", receipt: "rilevazione-virus",
			prefix: "PROBLEMA DI SICUREZZA: ", title: "Avviso di rilevazione virus",
			heading: "Avviso di rilevazione virus", headingEN: "Virus detection notice"}
	case AnomalyEnvelope:
		return kindFacts{name: "anomalia", transport: "errore",
			prefix: "ANOMALIA MESSAGGIO: ", title: "Busta di anomalia",
			heading: "Anomalia nel messaggio", headingEN: "Message anomaly"}
	default:
		return kindFacts{name: "nessuno", title: "Messaggio ordinario"}
	}
}

// String returns the name of the kind for logs and stores: the value of
// postacert/@tipo, with "-virus", "-12h" or "-24h" after it where kinds share
// that value; "anomalia" for the anomaly envelope and "nessuno" for None.
func (k Kind) String() string { return k.facts().name }

// ParseKind is the inverse of String. ok is false for an unknown name.
func ParseKind(name string) (k Kind, ok bool) {
	for k := None; k <= AnomalyEnvelope; k++ {
		if k.facts().name == name {
			return k, true
		}
	}
	return None, false
}

// Title returns the Italian name of the message, such as "Ricevuta di
// accettazione" (pec-rules §1.2). That of a delivery receipt is the complete
// one's; see DeliveryForm.
func (k Kind) Title() string { return k.facts().title }

// CertType returns the value of postacert/@tipo (RFC 6109 §4.4), "" for the
// kinds without daticert.xml.
func (k Kind) CertType() string { return k.facts().certType }

// ReceiptHeader returns the value of X-Ricevuta, "" where there is none.
func (k Kind) ReceiptHeader() string { return k.facts().receipt }

// TransportHeader returns the value of X-Trasporto, "" where there is none.
func (k Kind) TransportHeader() string { return k.facts().transport }

// SecurityHeader returns the value of X-VerificaSicurezza, "" where there is none.
func (k Kind) SecurityHeader() string { return k.facts().security }

// SubjectPrefix returns what stands before the subject of the original, with
// its final blank: "ACCETTAZIONE: ".
func (k Kind) SubjectPrefix() string { return k.facts().prefix }

// ReceiptType is the delivery receipt that the sender asks for with
// X-TipoRicevuta (RFC 6109 §3.3.2).
type ReceiptType string

// The values of X-TipoRicevuta and of ricevuta/@tipo.
const (
	ReceiptComplete ReceiptType = "completa"  // with the whole original
	ReceiptBrief    ReceiptType = "breve"     // with the original, attachments as hashes
	ReceiptConcise  ReceiptType = "sintetica" // without the original
)

// ParseReceiptType reads a value of X-TipoRicevuta, whatever its case and the
// blanks around it. An absent or unknown value means ReceiptComplete, and ok
// is false (RFC 6109 §3.3.2.1).
func ParseReceiptType(s string) (t ReceiptType, ok bool) {
	switch t := ReceiptType(strings.ToLower(strings.TrimSpace(s))); t {
	case ReceiptComplete, ReceiptBrief, ReceiptConcise:
		return t, true
	default:
		return ReceiptComplete, false
	}
}

// DeliveryForm is what a delivery receipt carries in fact: it follows from the
// type asked for and from the recipient being primary or in copy.
type DeliveryForm uint8

// The three forms of RFC 6109 §3.3.2.1 to §3.3.2.3.
const (
	FormConcise  DeliveryForm = iota // certification data alone
	FormBrief                        // original with its attachments replaced by hashes
	FormComplete                     // whole original
)

// String returns the Italian word for the form, as in X-TipoRicevuta.
func (f DeliveryForm) String() string {
	switch f {
	case FormComplete:
		return string(ReceiptComplete)
	case FormBrief:
		return string(ReceiptBrief)
	default:
		return string(ReceiptConcise)
	}
}

// Title returns the Italian title of the delivery receipt of this form.
func (f DeliveryForm) Title() string {
	switch f {
	case FormComplete:
		return Delivery.Title()
	case FormBrief:
		return "Ricevuta breve di avvenuta consegna"
	default:
		return "Ricevuta sintetica di avvenuta consegna"
	}
}

// titleEN is Title in English.
func (f DeliveryForm) titleEN() string {
	switch f {
	case FormComplete:
		return Delivery.facts().headingEN
	case FormBrief:
		return "Brief delivery receipt"
	default:
		return "Concise delivery receipt"
	}
}

// ErrorCode is the value of postacert/@errore (RFC 6109 §4.4).
type ErrorCode string

// The closed list of error codes. Readers never rely on the code alone: the
// leading x.y.z of errore-esteso says more (pec-rules §3.3).
const (
	NoError    ErrorCode = "nessuno"
	NoDest     ErrorCode = "no-dest"    // wrong recipient
	NoDomain   ErrorCode = "no-dominio" // wrong domain
	Virus      ErrorCode = "virus"
	OtherError ErrorCode = "altro"
)

// valid says whether the code is in the list.
func (e ErrorCode) valid() bool {
	switch e {
	case NoError, NoDest, NoDomain, Virus, OtherError:
		return true
	}
	return false
}

// Recipient is one recipient of the original message, as in RCPT TO.
type Recipient struct {
	Address string
	// External is true for a recipient outside certified mail ("esterno",
	// posta ordinaria): no receipt will come for it.
	External bool
}
