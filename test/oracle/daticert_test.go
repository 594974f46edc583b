// SPDX-License-Identifier: EUPL-1.2

package oracle

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// certData is what daticert.xml certifies (RFC 6109 §4.4).
type certData struct {
	tipo, errore  string
	sender        string
	recipients    []certRecipient
	replyTo       string
	subject       string
	issuer        string
	at            time.Time
	id, msgid     string
	receipt       string // "" without the element
	delivery      string
	receptions    []string
	extendedError string
}

type certRecipient struct {
	address  string
	external bool
}

// grammar is the DTD of RFC 6109 §4.4: each element's children as a regular
// expression over their names.
var grammar = map[string]*regexp.Regexp{
	"postacert":    regexp.MustCompile(`^intestazione,dati,$`),
	"intestazione": regexp.MustCompile(`^mittente,(destinatari,)+risposte,(oggetto,)?$`),
	"dati":         regexp.MustCompile(`^gestore-emittente,data,identificativo,(msgid,)?(ricevuta,)?(consegna,)?(ricezione,)*(errore-esteso,)?$`),
	"data":         regexp.MustCompile(`^giorno,ora,$`),
}

type element struct {
	name     string
	attr     map[string]string
	text     string
	children []*element
}

// readCert reads a daticert.xml and refuses what the DTD does not allow.
func readCert(b []byte) (*certData, error) {
	root, err := readXML(b)
	if err != nil {
		return nil, err
	}
	if root.name != "postacert" {
		return nil, fmt.Errorf("root element %q", root.name)
	}
	c := &certData{tipo: root.attr["tipo"], errore: root.attr["errore"]}
	if c.errore == "" {
		c.errore = "nessuno"
	}
	for _, e := range root.children[0].children {
		switch e.name {
		case "mittente":
			c.sender = e.text
		case "destinatari":
			if t := e.attr["tipo"]; t != "certificato" && t != "esterno" {
				return nil, fmt.Errorf("destinatari tipo %q", t)
			}
			c.recipients = append(c.recipients, certRecipient{e.text, e.attr["tipo"] == "esterno"})
		case "risposte":
			c.replyTo = e.text
		case "oggetto":
			c.subject = e.text
		}
	}
	return c, c.readData(root.children[1].children)
}

func (c *certData) readData(dati []*element) (err error) {
	for _, e := range dati {
		switch e.name {
		case "gestore-emittente":
			c.issuer = e.text
		case "data":
			c.at, err = time.Parse("02/01/2006 15:04:05 -0700", e.children[0].text+" "+e.children[1].text+" "+e.attr["zona"])
		case "identificativo":
			c.id = e.text
		case "msgid":
			c.msgid = e.text
		case "ricevuta":
			if c.receipt = e.attr["tipo"]; !slices.Contains([]string{"completa", "breve", "sintetica"}, c.receipt) {
				return fmt.Errorf("ricevuta tipo %q", c.receipt)
			}
		case "consegna":
			c.delivery = e.text
		case "ricezione":
			c.receptions = append(c.receptions, e.text)
		case "errore-esteso":
			c.extendedError = e.text
		}
	}
	return err
}

func readXML(b []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var stack []*element
	var root *element
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &element{name: tok.Name.Local, attr: map[string]string{}}
			for _, a := range tok.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			if len(stack) > 0 {
				stack[len(stack)-1].children = append(stack[len(stack)-1].children, e)
			} else {
				root = e
			}
			stack = append(stack, e)
		case xml.CharData:
			if len(stack) > 0 {
				stack[len(stack)-1].text += string(tok)
			}
		case xml.EndElement:
			e := stack[len(stack)-1]
			stack, e.text = stack[:len(stack)-1], strings.TrimSpace(e.text)
			names := ""
			for _, c := range e.children {
				names += c.name + ","
			}
			if g := grammar[e.name]; (g == nil && names != "") || (g != nil && !g.MatchString(names)) {
				return nil, fmt.Errorf("%s holds %s", e.name, names)
			}
		case xml.Directive:
			return nil, errors.New("a DOCTYPE")
		}
	}
	if root == nil {
		return nil, errors.New("empty")
	}
	return root, nil
}

// fits says whether the data belong into a message of that kind (pec-rules §3.2).
func (c *certData) fits(k kind) error {
	tipo := string(k)
	switch k {
	case kRefVirus:
		tipo = "non-accettazione"
	case kFailVirus:
		tipo = "errore-consegna"
	case kFirst, kSecond:
		tipo = "preavviso-errore-consegna"
	}
	want := map[kind][]string{
		kAccept: {"nessuno"}, kRefuse: {"altro"}, kRefVirus: {"virus"}, kEnvelope: {"nessuno"}, kTake: {"nessuno"}, kDeliver: {"nessuno"},
		kFail: {"no-dest", "no-dominio", "altro"}, kFailVirus: {"virus"}, kFirst: {"altro"}, kSecond: {"altro"}, kVirus: {"virus"},
	}[k]
	one := slices.Contains([]kind{kDeliver, kFail, kFailVirus, kFirst, kSecond, kVirus}, k)
	failed := slices.Contains([]kind{kRefuse, kRefVirus, kFail, kFailVirus, kVirus, kFirst, kSecond}, k)
	switch {
	case c.tipo != tipo:
		return fmt.Errorf("tipo %q in %s", c.tipo, k)
	case !slices.Contains(want, c.errore):
		return fmt.Errorf("errore %q in %s", c.errore, k)
	case (k == kEnvelope || k == kDeliver) && c.receipt == "":
		return fmt.Errorf("%s without ricevuta", k)
	case one != (c.delivery != ""):
		return fmt.Errorf("consegna %q in %s", c.delivery, k)
	case (k == kTake) != (len(c.receptions) > 0):
		return fmt.Errorf("%d ricezione in %s", len(c.receptions), k)
	case failed != (c.extendedError != ""):
		return fmt.Errorf("errore-esteso %q in %s", c.extendedError, k)
	case c.id == "" || c.issuer == "" || c.sender == "" || c.at.IsZero():
		return fmt.Errorf("%s without identificativo, gestore, mittente or data", k)
	}
	return nil
}
