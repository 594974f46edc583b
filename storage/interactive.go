// SPDX-License-Identifier: EUPL-1.2

package storage

import "context"

type interactiveKey struct{}

// Interactive marks reads for which a person waits, as those of IMAP: a back end
// keeps means of its own for them, so that they do not wait behind what the
// pipeline reads.
func Interactive(ctx context.Context) context.Context {
	return context.WithValue(ctx, interactiveKey{}, true)
}

// IsInteractive reports whether a read is marked.
func IsInteractive(ctx context.Context) bool { return ctx.Value(interactiveKey{}) != nil }
