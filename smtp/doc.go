// SPDX-License-Identifier: EUPL-1.2

// Package smtp is the SMTP side of the provider (RFC 5321): the submission
// listener of the access point, the MX listener of the incoming point and the
// client that relays to other servers. It adapts package pipeline to the wire
// and decides nothing about certified mail.
//
// The listeners run on go-smtp behind a connection filter (conn.go) that sees
// every octet in clear. The filter hands over one command line at a time, keeps
// bare CR and bare LF away from the library's state machine, owns TLS, the
// deadlines and the wording of replies. The relay client is our own because a
// signed message must leave as the bytes it is stored as.
package smtp
