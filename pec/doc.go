// SPDX-License-Identifier: EUPL-1.2

// Package pec holds the rules of Italian certified mail (RFC 6109) as pure
// functions: what the messages look like, how they are built, recognised and
// checked. It does no I/O beyond the readers and writers handed to it, knows no
// clock and draws no random number, so the same arguments give the same bytes.
//
// The writing side:
//
//   - Kind and the other closed lists are in kind.go;
//   - CertData is daticert.xml, with its writer and its strict reader;
//   - NewID and ReceiptID make the identifiers, RewriteOriginal puts them into
//     the header of the original message;
//   - Builder makes a Draft of each of the twelve messages; Draft.Seal puts the
//     S/MIME signature on it.
//
// The reading side:
//
//   - CheckSubmission makes the formal checks of the access point;
//   - Recognise says which of the twelve messages something is, or why none;
//   - Primaries and FormFor decide what a delivery receipt carries, Brief
//     replaces attachments by their hashes.
//
// A built message is head bytes, at most one original, and tail bytes. The
// original is never copied or parsed again here: the caller streams it between
// the two, so that one stored copy serves the transport envelope and every
// complete receipt.
//
// What comes from a message (subject, addresses, identifiers, reasons) is
// hostile. It is bounded and cleaned once, when a message is built, and then
// escaped for each place that it goes to: header, XML, HTML, plain text.
package pec
