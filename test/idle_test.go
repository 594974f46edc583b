// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestReceiptsArePushed: a client in IDLE learns of its receipts without asking.
func TestReceiptsArePushed(t *testing.T) {
	d := sharedDemo(t)
	a, to := d.standard(t, "ALFA", 15), d.standard(t, "BETA", 15)
	host, _ := d.hostPort(t, "ALFA_IMAP")
	pushed := make(chan uint32, 100)
	c, err := imapclient.DialStartTLS(d.get(t, "ALFA_IMAP"), &imapclient.Options{
		TLSConfig: d.tls(t, host),
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{Mailbox: func(m *imapclient.UnilateralDataMailbox) {
			if m.NumMessages != nil {
				pushed <- *m.NumMessages
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(a.address, d.password(t)).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	l := letter{id: newMsgID(), from: a.address, to: []string{to.address}, subject: "Avvisami"}
	d.submit(t, a, l.to, l.bytes())
	want := box.NumMessages + 2 // acceptance and delivery receipt
	for deadline := time.After(20 * time.Second); ; {
		select {
		case n := <-pushed:
			if n < want {
				continue
			}
		case <-deadline:
			t.Fatalf("IDLE did not announce %d messages", want)
		}
		break
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if err := idle.Wait(); err != nil {
		t.Error(err)
	}
	status, err := c.Status("INBOX", &imap.StatusOptions{NumMessages: true, UIDNext: true, UIDValidity: true}).Wait()
	if err != nil || *status.NumMessages != want || status.UIDValidity != box.UIDValidity || status.UIDNext < box.UIDNext+2 {
		t.Errorf("STATUS %+v, %v after SELECT %+v", status, err, box)
	}
}
