// SPDX-License-Identifier: EUPL-1.2

package pec

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"time"
)

// Bounds of a daticert.xml that ReadCertData accepts. One of 1,000 recipients
// takes about 100 KiB.
const (
	maxCertDataBytes = 2 << 20
	maxCertDataList  = 10000    // recipients, and receptions
	maxCertDataText  = 64 << 10 // octets of one element's text
)

// ReadCertData reads a daticert.xml and refuses everything that the DTD of
// RFC 6109 §4.4 does not allow: order, number and values of elements and
// attributes. It also refuses DOCTYPE, processing instructions, entities other
// than the five of XML, namespaces, an encoding other than UTF-8, more than
// 2 MiB, more than 10,000 recipients, and an empty sender, recipient or
// identifier. Comments, a byte order mark, LF or CRLF line ends and blanks
// around a value are accepted; angle brackets around identificativo are taken
// off. Every error is a *CertDataError.
func ReadCertData(b []byte) (CertData, error) {
	if len(b) > maxCertDataBytes {
		return CertData{}, &CertDataError{Offset: maxCertDataBytes,
			Reason: "dati di certificazione troppo grandi", ReasonEN: "certification data too large"}
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !plainTags(b) {
		return CertData{}, &CertDataError{Reason: "XML con un elemento troppo lungo", ReasonEN: "XML with an overlong tag"}
	}
	r := certReader{dec: xml.NewDecoder(bytes.NewReader(b))}
	if err := r.read(); err != nil {
		var known *CertDataError
		if !errors.As(err, &known) {
			// The decoder's own words quote the document: they stay out.
			known = &CertDataError{Reason: "XML non corretto", ReasonEN: "not well-formed XML"}
		}
		known.Offset = r.dec.InputOffset()
		return CertData{}, known
	}
	return r.data, nil
}

// refuse makes the error for a fault of the document.
func refuse(it, en string) error { return &CertDataError{Reason: it, ReasonEN: en} }

// certReader walks the tokens of a document and holds them against the grammar.
type certReader struct {
	dec   *xml.Decoder
	data  CertData
	stack []certFrame // open elements, at most four: the grammar is no deeper
	begun bool        // a token other than the declaration was seen
	done  bool        // the root element was closed

	day, hour, zone string
}

// certFrame is one open element.
type certFrame struct {
	name  string
	model []certSlot // what it may contain; nil for an element of text
	slot  int        // where in the model we are
	count int        // children seen in that slot
	text  []byte
}

// certSlot is one place of a content model.
type certSlot struct {
	name     string
	min, max int
}

// certModel returns the content model of an element: its children in order, or
// nil for one of text. The empty model is that of ricevuta.
func certModel(name string) []certSlot {
	switch name {
	case "": // the document
		return []certSlot{{"postacert", 1, 1}}
	case "postacert":
		return []certSlot{{"intestazione", 1, 1}, {"dati", 1, 1}}
	case "intestazione":
		return []certSlot{{"mittente", 1, 1}, {"destinatari", 1, maxCertDataList}, {"risposte", 1, 1}, {"oggetto", 0, 1}}
	case "dati":
		return []certSlot{{"gestore-emittente", 1, 1}, {"data", 1, 1}, {"identificativo", 1, 1}, {"msgid", 0, 1},
			{"ricevuta", 0, 1}, {"consegna", 0, 1}, {"ricezione", 0, maxCertDataList}, {"errore-esteso", 0, 1}}
	case "data":
		return []certSlot{{"giorno", 1, 1}, {"ora", 1, 1}}
	case "ricevuta":
		return []certSlot{}
	default:
		return nil
	}
}

// read consumes the whole document.
func (r *certReader) read() error {
	r.stack = append(make([]certFrame, 0, 5), certFrame{model: certModel("")})
	for {
		// RawToken, not Token: it leaves names as written, so that no
		// namespace is resolved behind our back. Matching of start and end
		// tags is checked here.
		token, err := r.dec.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			err = r.open(t)
		case xml.EndElement:
			err = r.close(t)
		case xml.CharData:
			err = r.characters(t)
		case xml.Comment:
		case xml.ProcInst:
			if t.Target != "xml" || r.begun {
				err = refuse("istruzione di elaborazione non ammessa", "processing instruction not allowed")
			}
		case xml.Directive:
			err = refuse("DOCTYPE non ammesso", "DOCTYPE not allowed")
		}
		if err != nil {
			return err
		}
		r.begun = true
	}
	if !r.done {
		return refuse("documento incompleto", "document incomplete")
	}
	return r.finish()
}

// open handles a start tag.
func (r *certReader) open(t xml.StartElement) error {
	parent := &r.stack[len(r.stack)-1]
	if t.Name.Space != "" {
		return refuse("spazi dei nomi non ammessi", "namespaces not allowed")
	}
	// Move along the parent's model to the slot of this name; the slots that
	// are passed must have had enough.
	for parent.slot < len(parent.model) && parent.model[parent.slot].name != t.Name.Local {
		if parent.count < parent.model[parent.slot].min {
			break
		}
		parent.slot++
		parent.count = 0
	}
	if parent.slot >= len(parent.model) || parent.model[parent.slot].name != t.Name.Local {
		return refuse("elemento fuori posto o mancante", "element misplaced or missing")
	}
	if parent.count++; parent.count > parent.model[parent.slot].max {
		return refuse("elemento ripetuto", "element repeated")
	}
	if err := r.attributes(t.Name.Local, t.Attr); err != nil {
		return err
	}
	r.stack = append(r.stack, certFrame{name: t.Name.Local, model: certModel(t.Name.Local)})
	return nil
}

// attributes takes the attributes of an element; the grammar allows at most two.
func (r *certReader) attributes(element string, attrs []xml.Attr) error {
	var values map[string]string
	if len(attrs) > 0 {
		values = make(map[string]string, 2)
	}
	for _, a := range attrs {
		if a.Name.Space != "" || a.Name.Local == "xmlns" {
			return refuse("spazi dei nomi non ammessi", "namespaces not allowed")
		}
		switch element + "/" + a.Name.Local {
		case "postacert/tipo", "postacert/errore", "destinatari/tipo", "data/zona", "ricevuta/tipo":
		default:
			return refuse("attributo sconosciuto", "unknown attribute")
		}
		if _, twice := values[a.Name.Local]; twice {
			return refuse("attributo ripetuto", "attribute repeated")
		}
		values[a.Name.Local] = strings.Trim(a.Value, xmlBlanks)
	}

	badValue := refuse("valore di attributo non ammesso o mancante", "attribute value not allowed or missing")
	value, present := values["tipo"]
	switch element {
	case "postacert":
		code, hasCode := values["errore"]
		if !hasCode {
			code = string(NoError)
		}
		r.data.Type, r.data.Error = value, ErrorCode(code)
		if !isCertType(value) || !r.data.Error.valid() {
			return badValue
		}
	case "destinatari":
		if present && value != "certificato" && value != "esterno" {
			return badValue
		}
		r.data.Recipients = append(r.data.Recipients, Recipient{External: value == "esterno"})
	case "data":
		if r.zone, present = values["zona"]; !present {
			return badValue
		}
	case "ricevuta":
		switch r.data.Receipt = ReceiptType(value); r.data.Receipt {
		case ReceiptComplete, ReceiptBrief, ReceiptConcise:
		default:
			return badValue
		}
	}
	return nil
}

// isCertType says whether s is a value of postacert/@tipo.
func isCertType(s string) bool {
	for k := Acceptance; k <= AnomalyEnvelope; k++ {
		if s != "" && k.CertType() == s {
			return true
		}
	}
	return false
}

// xmlBlanks are the blanks of XML.
const xmlBlanks = " \t\r\n"

// characters handles text between tags.
func (r *certReader) characters(text xml.CharData) error {
	top := &r.stack[len(r.stack)-1]
	if top.model != nil {
		if len(bytes.Trim(text, xmlBlanks)) > 0 {
			return refuse("testo fuori posto", "text where none is allowed")
		}
		return nil
	}
	if len(top.text)+len(text) > maxCertDataText {
		return refuse("testo troppo lungo", "text too long")
	}
	top.text = append(top.text, text...)
	return nil
}

// close handles an end tag.
func (r *certReader) close(t xml.EndElement) error {
	top := r.stack[len(r.stack)-1]
	if len(r.stack) == 1 || t.Name.Space != "" || t.Name.Local != top.name {
		return refuse("elementi non bilanciati", "unbalanced elements")
	}
	for i := top.slot; i < len(top.model); i++ {
		if have := top.count; (i == top.slot && have < top.model[i].min) || (i > top.slot && top.model[i].min > 0) {
			return refuse("elemento mancante", "element missing")
		}
	}
	r.stack = r.stack[:len(r.stack)-1]
	r.done = len(r.stack) == 1
	if top.model != nil {
		return nil
	}
	return r.take(top.name, strings.Trim(string(top.text), xmlBlanks))
}

// take stores the text of an element.
func (r *certReader) take(element, text string) error {
	mustBe := func(target *string) error {
		*target = text
		if text == "" {
			return refuse("elemento vuoto", "element empty")
		}
		return oneLine(text)
	}
	switch element {
	case "mittente":
		return mustBe(&r.data.Sender)
	case "destinatari":
		return mustBe(&r.data.Recipients[len(r.data.Recipients)-1].Address)
	case "risposte":
		r.data.ReplyTo = blanksOnly(text)
	case "oggetto":
		r.data.Subject, r.data.HasSubject = blanksOnly(text), true
	case "gestore-emittente":
		r.data.Issuer = blanksOnly(text)
	case "giorno":
		r.day = text
	case "ora":
		r.hour = text
	case "identificativo":
		if n := len(text); n > 2 && text[0] == '<' && text[n-1] == '>' {
			text = text[1 : n-1]
		}
		return mustBe(&r.data.ID)
	case "msgid":
		r.data.MsgID = text
		return oneLine(text)
	case "consegna":
		return mustBe(&r.data.Delivery)
	case "ricezione":
		r.data.Receptions = append(r.data.Receptions, "")
		return mustBe(&r.data.Receptions[len(r.data.Receptions)-1])
	case "errore-esteso":
		r.data.ExtendedError = blanksOnly(text)
	}
	return nil
}

// oneLine refuses an address or identifier that spans lines.
func oneLine(text string) error {
	if strings.ContainsAny(text, "\t\r\n") {
		return refuse("valore su più righe", "value spans lines")
	}
	return nil
}

// blanksOnly turns the line breaks and tabs of a descriptive text into blanks.
func blanksOnly(text string) string {
	if !strings.ContainsAny(text, "\t\r\n") {
		return text
	}
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == '\r' || c == '\n' {
			return ' '
		}
		return c
	}, text)
}

// finish reads day, hour and zone together.
func (r *certReader) finish() error {
	at, ok := parseCertTime(r.day, r.hour, r.zone)
	if !ok {
		return refuse("data non corretta", "invalid date")
	}
	r.data.At = at
	return nil
}

// parseCertTime reads "dd/mm/yyyy", "hh:mm:ss" and "+hhmm". Second 60, the
// leap second that RFC 6109 §4.2 allows, is the first one after it.
func parseCertTime(day, hour, zone string) (time.Time, bool) {
	dd, mm, yyyy, ok1 := digits3(day, "00/00/0000", '/')
	h, m, s, ok2 := digits3(hour, "00:00:00", ':')
	if !ok1 || !ok2 || h > 23 || m > 59 || s > 60 {
		return time.Time{}, false
	}
	if len(zone) != 5 || (zone[0] != '+' && zone[0] != '-') {
		return time.Time{}, false
	}
	zh, zm, _, ok := digits3(zone[1:3]+":"+zone[3:5]+":00", "00:00:00", ':')
	if !ok || zh > 23 || zm > 59 {
		return time.Time{}, false
	}
	offset := zh*3600 + zm*60
	if zone[0] == '-' {
		offset = -offset
	}
	at := time.Date(yyyy, time.Month(mm), dd, h, m, s, 0, time.FixedZone("", offset))
	midnight := time.Date(yyyy, time.Month(mm), dd, 0, 0, 0, 0, time.UTC)
	if midnight.Day() != dd || int(midnight.Month()) != mm || yyyy == 0 {
		return time.Time{}, false
	}
	return at, true
}

// digits3 reads three numbers of fixed width, laid out like shape.
func digits3(s, shape string, separator byte) (a, b, c int, ok bool) {
	if len(s) != len(shape) {
		return 0, 0, 0, false
	}
	numbers := [3]int{}
	n := 0
	for i := 0; i < len(s); i++ {
		switch {
		case shape[i] == separator:
			if s[i] != separator {
				return 0, 0, 0, false
			}
			n++
		case s[i] < '0' || s[i] > '9':
			return 0, 0, 0, false
		default:
			numbers[n] = numbers[n]*10 + int(s[i]-'0')
		}
	}
	return numbers[0], numbers[1], numbers[2], true
}
