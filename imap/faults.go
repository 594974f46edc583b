// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"

	imaplib "github.com/emersion/go-imap/v2"

	"pecd/fault"
)

// no is a refusal with a response code of RFC 9051 §7.1, "" for none.
func no(code imaplib.ResponseCode, text string) error {
	return &imaplib.Error{Type: imaplib.StatusResponseTypeNo, Code: code, Text: respText(text)}
}

// bad is the answer to a command that the client should not have sent.
func bad(text string) error {
	return &imaplib.Error{Type: imaplib.StatusResponseTypeBad, Text: respText(text)}
}

// errSyntax refuses arguments that the grammar does not know.
var errSyntax = bad("sintassi non valida / invalid syntax")

func statusLine(e *imaplib.Error) string {
	code := ""
	if e.Code != "" {
		code = "[" + string(e.Code) + "] "
	}
	return string(e.Type) + " " + code + e.Text
}

var errReadOnly = no(imaplib.ResponseCodeNoPerm, "cartella aperta in sola lettura / mailbox is read-only")

// refuse turns an error of the store or the directory into the answer that its
// kind demands, and logs those that are our own fault. nil stays nil.
func (s *session) refuse(err error) error {
	var done *imaplib.Error
	if err == nil || errors.As(err, &done) {
		return err
	}
	switch k := fault.KindOf(err); k {
	case fault.Internal, fault.Temporary:
		if !errors.Is(err, context.Canceled) {
			s.log.Error("imap: command failed", "command", s.c.now.verb, "kind", k.String(), "error", err)
		}
	}
	codes := fault.CodesOf(err)
	if fault.Is(err, fault.Invalid) { // by the store's rules: the command itself was sound
		return no(imaplib.ResponseCodeCannot, codes.Text)
	}
	return no(imaplib.ResponseCode(codes.IMAP), codes.Text)
}

// noTarget is refuse for a command that names the folder to put messages into.
func (s *session) noTarget(err error) error {
	if fault.Is(err, fault.NotFound) {
		return no(imaplib.ResponseCodeTryCreate, "cartella inesistente / no such mailbox")
	}
	return s.refuse(err)
}

// noFolder is refuse for a command that names a folder.
func (s *session) noFolder(err error) error {
	if fault.Is(err, fault.NotFound) {
		return no(imaplib.ResponseCodeNonExistent, "cartella inesistente / no such mailbox")
	}
	return s.refuse(err)
}
