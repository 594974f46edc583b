// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/smtp"
	"os"
	"slices"
	"time"

	"pecd/ledger"
	"pecd/storage"
)

// firstWait bounds the first message's way to both receipts.
const firstWait = 45 * time.Second

// firstMessage sends a certified message from alfa to beta over SMTP with TLS,
// as a mail client would, waits for its receipts and prints their time line.
func (d *demo) firstMessage(ctx context.Context) error {
	from, to := d.vars["ALFA_STANDARD"], d.vars["BETA_STANDARD"]
	if err := d.submit(from, to); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, firstWait)
	defer cancel()
	changed, stop := d.sides[0].node.store.WatchQueue("")
	defer stop()
	for {
		rows, done, err := d.timeline(ctx)
		if err != nil {
			return err
		}
		if done {
			fmt.Fprintf(d.env.stdout, "\nPrimo messaggio certificato / first certified message: %s -> %s\n", from, to)
			for _, r := range rows {
				fmt.Fprintf(d.env.stdout, "  %s  %-4s  %s\n", r.at.Local().Format("15:04:05"), r.side, r.text)
			}
			return nil
		}
		timer, stopTimer := d.env.clock.After(100 * time.Millisecond)
		select {
		case <-ctx.Done():
			stopTimer()
			return fmt.Errorf("no delivery receipt within %v", firstWait)
		case <-changed:
		case <-timer:
		}
		stopTimer()
	}
}

func (d *demo) submit(from, to string) (err error) {
	pem, err := os.ReadFile(d.vars["CA_FILE"])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c, err := smtp.Dial(d.vars["ALFA_SUBMISSION"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{ServerName: "localhost", RootCAs: roots, MinVersion: tls.VersionTLS12}); err != nil {
		return err
	}
	if err := c.Auth(smtp.PlainAuth("", from, d.vars["PASSWORD"], "127.0.0.1")); err != nil {
		return err
	}
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	now := d.env.clock.Now()
	fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: =?UTF-8?Q?Primo_messaggio:_funziona,_perch=C3=A9_no=3F?=\r\nDate: %s\r\nMessage-ID: <primo.%d@client.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"+
		"Questo messaggio =C3=A8 partito da un client, ha attraversato due gestori\r\ned =C3=A8 arrivato con le sue ricevute.\r\n",
		from, to, now.Format(time.RFC1123Z), now.UnixNano())
	if err := w.Close(); err != nil {
		return err
	}
	return c.Quit()
}

type timelineRow struct {
	at    time.Time
	order int
	side  string
	text  string
}

// timeline reads both providers' logs. It is complete with the delivery
// receipt in the sender's mailbox and the take-charge receipt at his provider.
func (d *demo) timeline(ctx context.Context) (rows []timelineRow, done bool, err error) {
	seen := make(map[string]bool)
	for _, s := range d.sides {
		err := s.node.store.Records(ctx, 1, func(r storage.Record) error {
			e, err := ledger.Decode(r.Data)
			if err != nil {
				return err
			}
			order, text := describeEvent(e)
			if text != "" {
				rows = append(rows, timelineRow{e.At, order, s.name, text})
				seen[fmt.Sprint(order)] = true
			}
			return nil
		})
		if err != nil {
			return nil, false, err
		}
	}
	slices.SortStableFunc(rows, func(a, b timelineRow) int {
		if c := a.at.Compare(b.at); c != 0 {
			return c
		}
		return a.order - b.order
	})
	return rows, seen["1"] && seen["4"] && seen["6"], nil
}

// describeEvent says an event of the first message in words, with its place in
// the flow of RFC 6109 §3.5 for events of one second.
func describeEvent(e ledger.Event) (order int, text string) {
	switch e.Kind {
	case ledger.SubmissionAccepted:
		return 1, "ricevuta di accettazione al mittente / acceptance receipt to the sender"
	case ledger.EnvelopeCreated:
		return 2, "busta di trasporto firmata " + e.ID
	case ledger.TakenInCharge:
		return 3, "presa in carico / take-charge receipt to the sender's provider"
	case ledger.Delivered:
		return 5, "consegna nella casella del destinatario / delivered, delivery receipt issued"
	case ledger.ReceiptReceived:
		switch e.Receipt {
		case "presa-in-carico":
			return 4, "presa in carico ricevuta / take-charge receipt in the service mailbox"
		case "avvenuta-consegna":
			return 6, "ricevuta di avvenuta consegna nella casella del mittente / delivery receipt with the sender"
		}
	}
	return 0, ""
}
