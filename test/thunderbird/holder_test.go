// SPDX-License-Identifier: EUPL-1.2

package thunderbird

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// holder is Thunderbird's main window, and what its user does there.
type holder struct {
	*marionette
	display, main string
	pictures      string // folder; empty: none are kept
}

// startThunderbird starts the program with a profile.
func startThunderbird(t testing.TB, profile string) *holder {
	t.Helper()
	h := &holder{display: startDisplay(t), pictures: os.Getenv("PECD_PICTURES")}
	start(t, []string{"DISPLAY=" + h.display, "HOME=" + t.TempDir(), "MOZ_CRASHREPORTER_DISABLE=1"}, "thunderbird",
		"--marionette", "--remote-allow-system-access", "--no-remote", "--profile", profile)
	h.marionette = dialMarionette(t, profile)
	h.main = h.windows()[0]
	h.enter(h.main)
	h.run(nil, "window.moveTo(0, 0); window.resizeTo(1400, 860)") // there is no window manager
	return h
}

// picture keeps what the display shows, for people to look at.
func (h *holder) picture(name string) {
	h.t.Helper()
	if h.pictures == "" {
		return
	}
	time.Sleep(time.Second) // animations
	if err := os.MkdirAll(h.pictures, 0o755); err != nil {
		h.t.Fatal(err)
	}
	if out, err := exec.Command("import", "-display", h.display, "-window", "root", filepath.Join(h.pictures, name+".png")).CombinedOutput(); err != nil {
		h.t.Fatalf("import: %v\n%s", err, out)
	}
}

// addAccount goes through the account wizard with what a holder knows, and
// returns what the wizard said it had found.
func (h *holder) addAccount(name, address, password string) (found string) {
	h.t.Helper()
	h.write("realName", name)
	h.write("email", address)
	h.click("forward")
	h.find("editConfiguration") // the servers are there
	found = h.text(`
		const all = root => [...root.querySelectorAll("*")].flatMap(e => e.shadowRoot ? [e, ...all(e.shadowRoot)] : [e]);
		return all(document).filter(e => !e.children.length && e.checkVisibility()).map(e => e.textContent.trim()).join(" ");`)
	h.picture("1-impostazioni-trovate")
	h.click("forward")
	h.write("password", password)
	h.click("forward")
	h.find("accountHubSignatureLink") // the last page
	h.click("forward")
	return found
}

// account is what Thunderbird set up.
type account struct {
	Type, Host, User, OutHost, OutUser string
	Port, Socket, OutPort, OutSocket   int
}

func (h *holder) account() (a account) {
	h.t.Helper()
	h.run(&a, `
		const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
		const account = MailServices.accounts.accounts.find(a => a.incomingServer.type != "none");
		const s = account.incomingServer, o = MailServices.outgoingServer.getServerByKey(account.defaultIdentity.smtpServerKey).QueryInterface(Ci.nsISmtpServer);
		return {Type: s.type, Host: s.hostname, Port: s.port, Socket: s.socketType, User: s.username,
			OutHost: o.hostname, OutPort: o.port, OutSocket: o.socketType, OutUser: o.username};`)
	return a
}

// send writes a message in a window of its own and sends it.
func (h *holder) send(to, subject, text string) {
	h.t.Helper()
	h.run(nil, `window.goDoCommand("cmd_newMessage")`)
	compose := ""
	within(h.t, time.Minute, "the window for a new message", func() bool {
		for _, w := range h.windows() {
			if w != h.main {
				compose = w
			}
		}
		return compose != ""
	})
	h.enter(compose)
	within(h.t, time.Minute, "its editor", func() bool {
		var there bool
		h.run(&there, `return document.readyState == "complete" && !!window.gMsgCompose?.editor && !window.gWindowLocked`)
		return there
	})
	h.write("toAddrInput", to+"\n")
	h.write("msgSubject", subject)
	h.run(nil, `gMsgCompose.editor.insertText(arguments[0])`, text)
	h.picture("2-nuovo-messaggio")
	h.click("button-send")
	within(h.t, time.Minute, "the message to be sent", func() bool { return len(h.windows()) == 1 })
	h.enter(h.main)
}

// show opens a folder by its flag: 0x1000 the inbox, 0x200 sent mail.
func (h *holder) show(flag int) {
	h.t.Helper()
	h.run(nil, `
		const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
		const server = MailServices.accounts.allServers.find(s => s.type == "imap");
		document.getElementById("tabmail").currentAbout3Pane.displayFolder(server.rootFolder.getFolderWithFlags(arguments[0]).URI);`, flag)
}

// selectMessage waits for the message with a subject in the list, and selects it.
func (h *holder) selectMessage(subject string) {
	h.t.Helper()
	within(h.t, time.Minute, "the message "+subject, func() bool {
		var there bool
		h.run(&there, `
			const pane = document.getElementById("tabmail").currentAbout3Pane, view = pane.gDBView;
			for (let i = 0; view && i < view.rowCount; i++)
				if (view.getMsgHdrAt(i).mime2DecodedSubject == arguments[0]) {
					pane.threadTree.selectedIndex = i;
					return true;
				}
			return false;`, subject)
		return there
	})
}

// reading is what the message pane says.
type reading struct {
	Subject   string
	Text      string
	Signature int    // of nsICMSMessageErrors: 0 a valid one, -1 none
	Icon      string // of the signature; empty: none is seen
	Signer    string
	Panel     string // the text of the panel behind the icon
}

// read opens a message, and the panel that says who signed it, and waits until
// enough says that all is there.
func (h *holder) read(subject string, enough func(reading) bool) (r reading) {
	h.t.Helper()
	h.selectMessage(subject)
	within(h.t, time.Minute, "the message pane of "+subject, func() bool {
		h.run(&r, `
			const w = document.getElementById("tabmail").currentAboutMessage, icon = w?.document.getElementById("signedHdrIcon");
			if (!icon || w.gMessage?.mime2DecodedSubject != arguments[0]) return {};
			return {Subject: arguments[0], Signature: w.gSignatureStatus, Signer: w.gSignerCert?.emailAddress ?? "", Icon: icon.hidden ? "" : icon.src,
				Text: w.getMessagePaneBrowser().contentDocument?.body?.textContent ?? "",
				Panel: w.document.getElementById("messageSecurityPanel").textContent.replace(/\s+/g, " ")};`, subject)
		return r.Subject == subject && enough(r)
	})
	return r
}

// openPanel shows or hides the panel about a message's signature.
func (h *holder) openPanel(open bool) {
	h.t.Helper()
	within(h.t, time.Minute, "the panel about the signature", func() (done bool) {
		h.run(&done, `
			window.focus(); // a panel does not stay in a window that nobody works in
			const d = document.getElementById("tabmail").currentAboutMessage.document, panel = d.getElementById("messageSecurityPanel");
			if (panel.state == (arguments[0] ? "open" : "closed")) return true;
			if (arguments[0]) d.getElementById("encryptionTechBtn").click(); else panel.hidePopup();
			return false;`, open)
		return done
	})
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
