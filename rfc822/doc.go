// SPDX-License-Identifier: EUPL-1.2

// Package rfc822 says where the parts of a message lie: header fields as they
// were received (RFC 5322 §2.2), addresses, encoded words (RFC 2047) and the
// MIME tree (RFC 2045, 2046) as byte offsets.
//
// It never rebuilds a message. Whoever needs the bytes of a part reads them from
// the message at the offsets found here, so that signatures, hashes and IMAP
// sections are taken over exactly what was transmitted.
//
// All input is hostile: every size, depth and count has a limit, reaching one
// is recorded as a Defect, and nothing here fails or panics on content.
package rfc822
