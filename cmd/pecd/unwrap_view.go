// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"pecd/pec"
	"pecd/signer"
)

// certView is daticert.xml with its own names (RFC 6109 §4.4).
type certView struct {
	Type          string      `json:"tipo"`
	Error         string      `json:"errore"`
	Sender        string      `json:"mittente"`
	Recipients    []recipient `json:"destinatari"`
	ReplyTo       string      `json:"risposte"`
	Subject       string      `json:"oggetto"`
	Issuer        string      `json:"gestore-emittente"`
	At            time.Time   `json:"data"`
	ID            string      `json:"identificativo"`
	MsgID         string      `json:"msgid,omitempty"`
	Receipt       string      `json:"ricevuta,omitempty"`
	Delivery      string      `json:"consegna,omitempty"`
	Receptions    []string    `json:"ricezione,omitempty"`
	ExtendedError string      `json:"errore-esteso,omitempty"`
}

type recipient struct {
	Address string `json:"indirizzo"`
	Type    string `json:"tipo"`
}

func viewOf(d *pec.CertData) *certView {
	v := &certView{
		Type: d.Type, Error: string(d.Error), Sender: d.Sender, ReplyTo: d.ReplyTo, Subject: d.Subject, Issuer: d.Issuer,
		At: d.At, ID: d.ID, MsgID: d.MsgID, Receipt: string(d.Receipt), Delivery: d.Delivery, Receptions: d.Receptions,
		ExtendedError: d.ExtendedError,
	}
	for _, r := range d.Recipients {
		kind := "certificato"
		if r.External {
			kind = "esterno"
		}
		v.Recipients = append(v.Recipients, recipient{r.Address, kind})
	}
	return v
}

// signatureView is the verdict on the signature. Verdict is "valid", "intact"
// (the content is what was signed, nobody was named to trust), "broken",
// "untrusted" or "absent"; Step names the first test that failed.
type signatureView struct {
	Verdict     string     `json:"verdict"`
	Step        string     `json:"failed_step,omitempty"`
	Text        string     `json:"text"`
	Signer      string     `json:"signer,omitempty"`
	Provider    string     `json:"provider,omitempty"`
	Address     string     `json:"address,omitempty"`
	Serial      string     `json:"serial,omitempty"`
	Digest      string     `json:"digest,omitempty"`
	SigningTime *time.Time `json:"signing_time,omitempty"`
}

func viewVerdict(v signer.Verdict, trusted bool) signatureView {
	s := signatureView{Verdict: "valid", Text: "firma valida / signature valid"}
	if v.Digest != 0 {
		s.Digest = v.Digest.String()
	}
	if !v.SigningTime.IsZero() {
		s.SigningTime = &v.SigningTime
	}
	if c := v.Certificate; c != nil {
		s.Signer, s.Serial = c.Subject.String(), hex.EncodeToString(c.SerialNumber.Bytes())
		if len(c.EmailAddresses) > 0 {
			s.Address = c.EmailAddresses[0]
		}
		if len(c.Subject.Organization) > 0 {
			s.Provider = c.Subject.Organization[0]
		} else {
			s.Provider = c.Subject.CommonName
		}
	}
	if v.Origin.Provider != "" {
		s.Provider = v.Origin.Provider
	}
	switch {
	case v.OK():
	case v.Failed == signer.StepChain && !trusted:
		s.Verdict = "intact"
		s.Text = "contenuto integro, autorità non verificata (indicare --ca) / content intact, authority not checked (give --ca)"
	default:
		s.Verdict, s.Step = "untrusted", string(v.Failed)
		if v.Failed == signer.StepValue || v.Failed == signer.StepForm {
			s.Verdict = "broken"
		}
		s.Text = v.Reason + " / " + v.ReasonEN
	}
	return s
}

func (u *unwrapped) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(u)
	}
	var b strings.Builder
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-18s %s\n", label+":", printable(value))
		}
	}
	line("Messaggio", u.Title+" ["+u.Kind+"]")
	line("Si dichiara", u.Claimed)
	line("Motivo", u.Reason)
	line("Reason", u.ReasonEN)
	line("Gestore", u.Provider)
	line("Da", u.From)
	line("Oggetto", u.Subject)
	if d := u.Data; d != nil {
		line("Mittente", d.Sender)
		for _, r := range d.Recipients {
			line("Destinatario", r.Address+" ("+r.Type+")")
		}
		line("Data", d.At.Format("02/01/2006 15:04:05 (-0700)"))
		line("Identificativo", d.ID)
		line("Message-ID", d.MsgID)
		line("Ricevuta", d.Receipt)
		line("Consegna", d.Delivery)
		line("Presa in carico", strings.Join(d.Receptions, ", "))
		if d.Error != string(pec.NoError) {
			line("Errore", d.Error)
		}
		line("Errore esteso", d.ExtendedError)
	}
	line("Firma", u.Signature.Text)
	line("Firmatario", u.Signature.Signer)
	line("Originale", u.Original)
	line("Nota", u.Note)
	_, err := io.WriteString(w, b.String())
	return err
}

// printable keeps hostile text from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}
