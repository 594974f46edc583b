// SPDX-License-Identifier: EUPL-1.2

//go:build !race

package smtp

// bulk is the size limit of the tests that send a message of the full size.
const bulk = DefaultMaxMessage
