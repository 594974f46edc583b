// SPDX-License-Identifier: EUPL-1.2

package directory

import (
	"strings"

	"pecd/fault"
	"pecd/storage"
)

// word is the name of one bit of a set, as it is written and as users read it.
type word struct {
	bit     uint8
	name    string
	italian string
}

func permissionWords() []word {
	return []word{
		{uint8(storage.MayRead), "read", "lettura"},
		{uint8(storage.MayWrite), "write", "scrittura"},
		{uint8(storage.MaySend), "send", "invio"},
		{uint8(storage.MayUseClient), "client", "programmi di posta"},
		{uint8(storage.MayChangeSettings), "settings", "impostazioni"},
	}
}

func protocolWords() []word {
	return []word{
		{uint8(storage.ByIMAP), "imap", "IMAP"},
		{uint8(storage.ByPOP3), "pop3", "POP3"},
		{uint8(storage.BySubmission), "submission", "invio SMTP"},
		{uint8(storage.ByWeb), "web", "web"},
	}
}

// PermissionNames writes permissions as ParsePermissions reads them: the five
// words of S4-017 in their order, with commas; "" for none.
func PermissionNames(p storage.Permission) string { return written(uint8(p), permissionWords(), false) }

// PermissionTexts is PermissionNames in Italian.
func PermissionTexts(p storage.Permission) string { return written(uint8(p), permissionWords(), true) }

// ProtocolNames writes protocols as ParseProtocols reads them.
func ProtocolNames(p storage.Protocol) string { return written(uint8(p), protocolWords(), false) }

// ParsePermissions reads words with commas between: read, write, send, client,
// settings, their Italian names, or all. Invalid otherwise, or without any.
func ParsePermissions(s string) (storage.Permission, error) {
	p, ok := parse(s, permissionWords(), uint8(storage.MayAll))
	if !ok {
		return 0, fault.Say("directory.ParsePermissions", fault.Invalid,
			"permessi: read, write, send, client, settings (o all), separati da virgole / permissions: read, write, send, client, settings (or all), with commas")
	}
	return storage.Permission(p), nil
}

// ParseProtocols reads words with commas between: imap, pop3, submission, web,
// or all. Invalid otherwise, or without any.
func ParseProtocols(s string) (storage.Protocol, error) {
	p, ok := parse(s, protocolWords(), uint8(storage.ByAll))
	if !ok {
		return 0, fault.Say("directory.ParseProtocols", fault.Invalid,
			"protocolli: imap, pop3, submission, web (o all), separati da virgole / protocols: imap, pop3, submission, web (or all), with commas")
	}
	return storage.Protocol(p), nil
}

func written(set uint8, words []word, italian bool) string {
	var names []string
	for _, w := range words {
		switch {
		case set&w.bit == 0:
		case italian:
			names = append(names, w.italian)
		default:
			names = append(names, w.name)
		}
	}
	return strings.Join(names, ",")
}

func parse(s string, words []word, all uint8) (set uint8, ok bool) {
	for name := range strings.SplitSeq(s, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		bit := uint8(0)
		if name == "all" || name == "tutti" {
			bit = all
		}
		for _, w := range words {
			if name == w.name || name == strings.ToLower(w.italian) {
				bit = w.bit
			}
		}
		if bit == 0 {
			return 0, false
		}
		set |= bit
	}
	return set, true
}
