// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// peerMessage is a message of the scripted provider: an envelope, or a receipt
// where kind is not posta-certificata. Its zero fields are filled by complete.
type peerMessage struct {
	kind     string // X-Trasporto or X-Ricevuta
	tipo     string // of daticert.xml, kind where empty
	id       string // identificativo
	from     string // certified sender
	service  string // address in From
	header   string // Message-ID of a receipt, the identificativo for an envelope
	msgID    string // client's, "-" for none
	to       []string
	cc       []string
	ordinary map[string]bool // of to and cc: esterno
	receipt  string          // completa, breve, sintetica
	extra    string          // elements of daticert.xml behind ricevuta: consegna, ricezione, errore-esteso
	errore   string
	content  string // of the original, behind its From, To, Message-ID
	issuer   string // gestore-emittente

	signer   string   // key it is signed with
	digest   string   // sha256
	openssl  []string // further arguments
	protocol string
	swapped  bool                // postacert.eml before daticert.xml
	without  string              // "daticert", "postacert", "signature", "text"
	headers  []string            // put before the others
	change   func([]byte) []byte // what was signed is altered afterwards
}

func (m peerMessage) complete() peerMessage {
	for _, f := range []struct {
		field *string
		value string
	}{
		{&m.kind, "posta-certificata"}, {&m.id, fmt.Sprintf("pec.%d@%s", time.Now().UnixNano(), peerDomain)},
		{&m.from, "giulia@" + peerDomain}, {&m.service, peerService}, {&m.errore, "nessuno"}, {&m.signer, "current"}, {&m.digest, "sha256"},
		{&m.protocol, "application/x-pkcs7-signature"}, {&m.issuer, peerName}, {&m.receipt, "completa"},
	} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
	if m.tipo == "" {
		m.tipo = m.kind
	}
	if m.msgID == "" {
		m.msgID = "<cliente." + m.id + ">"
	}
	if m.header == "" {
		m.header = m.id
		if !m.envelope() {
			m.header = "ric." + m.id
		}
	}
	if m.content == "" {
		m.content = "Subject: Prova\r\n\r\nTesto.\r\n"
	}
	return m
}

func (m peerMessage) envelope() bool {
	return m.kind == "posta-certificata" || m.kind == "errore" || m.kind == "boh"
}

func (m peerMessage) original() string {
	s := "From: " + m.from + "\r\nTo: " + strings.Join(m.to, ", ") + "\r\n"
	if len(m.cc) > 0 {
		s += "Cc: " + strings.Join(m.cc, ", ") + "\r\n"
	}
	s += "Message-ID: <" + m.id + ">\r\n"
	if m.msgID != "-" {
		s += "X-Riferimento-Message-ID: " + m.msgID + "\r\n"
	}
	return s + m.content
}

func (m peerMessage) daticert() string {
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<postacert tipo=%q errore=%q>\n<intestazione><mittente>%s</mittente>", m.tipo, m.errore, m.from)
	for _, r := range append(append([]string(nil), m.to...), m.cc...) {
		tipo := "certificato"
		if m.ordinary[r] {
			tipo = "esterno"
		}
		fmt.Fprintf(&b, "<destinatari tipo=%q>%s</destinatari>", tipo, r)
	}
	now := time.Now().UTC()
	fmt.Fprintf(&b, "<risposte>%s</risposte><oggetto>Prova</oggetto></intestazione>\n<dati><gestore-emittente>%s</gestore-emittente>", m.from, m.issuer)
	fmt.Fprintf(&b, "<data zona=\"+0000\"><giorno>%s</giorno><ora>%s</ora></data><identificativo>%s</identificativo>", now.Format("02/01/2006"), now.Format("15:04:05"), m.id)
	if m.msgID != "-" {
		fmt.Fprintf(&b, "<msgid>%s</msgid>", strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(m.msgID))
	}
	if m.tipo == "posta-certificata" || m.tipo == "avvenuta-consegna" {
		fmt.Fprintf(&b, "<ricevuta tipo=%q/>", m.receipt)
	}
	b.WriteString(m.extra + "</dati>\n</postacert>\n")
	return b.String()
}

// entity is the signed part.
func (m peerMessage) entity() []byte {
	part := func(header, body string) string { return "--corpo\r\n" + header + "\r\n\r\n" + body + "\r\n" }
	text := part("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable", "Messaggio del gestore")
	cert := part("Content-Type: application/xml; name=\"daticert.xml\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: inline; filename=\"daticert.xml\"",
		string(attachment{content: []byte(m.daticert())}.encoded()))
	orig := part("Content-Type: message/rfc822; name=\"postacert.eml\"\r\nContent-Transfer-Encoding: 7bit\r\nContent-Disposition: inline; filename=\"postacert.eml\"", m.original())
	if m.without == "text" {
		text = ""
	}
	if m.without == "daticert" || m.kind == "errore" {
		cert = ""
	}
	if m.without == "postacert" || !m.envelope() {
		orig = ""
	}
	if m.swapped {
		cert, orig = orig, cert
	}
	return []byte("Content-Type: multipart/mixed; boundary=\"corpo\"\r\n\r\n" + text + cert + orig + "--corpo--\r\n")
}

// bytes signs the message and puts it together.
func (p *peerProvider) bytes(t testing.TB, m peerMessage) []byte {
	t.Helper()
	entity := m.entity()
	var b bytes.Buffer
	head := append([]string(nil), m.headers...)
	switch {
	case m.envelope():
		head = append(head, "From: \"Per conto di: "+m.from+"\" <"+m.service+">", "To: "+strings.Join(m.to, ", "))
		if len(m.cc) > 0 {
			head = append(head, "Cc: "+strings.Join(m.cc, ", "))
		}
		head = append(head, "Reply-To: "+m.from, "Subject: POSTA CERTIFICATA: Prova", "X-Trasporto: "+m.kind, "X-TipoRicevuta: "+m.receipt)
	default:
		head = append(head, "From: "+m.service, "To: "+m.from, "Subject: RICEVUTA: Prova", "X-Ricevuta: "+m.kind)
		if m.errore == "virus" && m.kind == "errore-consegna" {
			head = append(head, "X-VerificaSicurezza: errore")
		}
		if m.kind == "rilevazione-virus" {
			head = append(head, "X-Mittente: "+m.from)
		}
	}
	head = append(head, "Date: "+time.Now().Format(time.RFC1123Z), "Message-ID: <"+m.header+">")
	if m.msgID != "-" {
		head = append(head, "X-Riferimento-Message-ID: "+m.msgID)
	}
	b.WriteString(strings.Join(append(head, "MIME-Version: 1.0"), "\r\n") + "\r\n")
	if m.without == "signature" {
		b.Write(entity)
		return b.Bytes()
	}
	k := p.signers[m.signer]
	args := []string{"cms", "-sign", "-binary", "-md", m.digest, "-outform", "DER", "-signer", k.cert, "-inkey", k.key, "-in", write(t, "entity", entity)}
	der := run(t, "openssl", append(args, m.openssl...)...)
	fmt.Fprintf(&b, "Content-Type: multipart/signed; protocol=%q;\r\n micalg=%s; boundary=\"firma\"\r\n\r\n--firma\r\n", m.protocol, m.digest)
	b.Write(entity)
	fmt.Fprintf(&b, "\r\n--firma\r\nContent-Type: %s; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n", m.protocol)
	b.Write(attachment{content: der}.encoded())
	b.WriteString("\r\n--firma--\r\n")
	if m.change != nil {
		return m.change(b.Bytes())
	}
	return b.Bytes()
}

// send hands a message to alfa's incoming point and returns the last answer.
func (p *peerProvider) send(t testing.TB, from string, rcpts []string, message []byte) reply {
	t.Helper()
	s := p.demo.mx(t, "ALFA")
	if r := s.envelope(from, rcpts); !r.positive() {
		return r
	}
	return s.data(bytes.NewReader(message))
}
