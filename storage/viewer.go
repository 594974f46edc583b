// SPDX-License-Identifier: EUPL-1.2

package storage

import "context"

type viewerKey struct{}

// Viewing marks reads and steps as those of a user, by login.
//
// In a mailbox with PersonalSeen \Seen is the viewer's own: reads of messages,
// their flags and their counts give his, and SetFlags, Append and CopyMessages
// change his. Every message starts, for everybody, with the flag that it had when
// the option was set, or that it was stored with; that one stays as it is as long
// as the option is set, and is what counts without a viewer and once the option
// is gone. A message whose \Seen changed for somebody has a new modseq for all.
//
// Subscribe by a viewer whose login is not the mailbox's address is for him
// alone; until then he has the subscriptions of the mailbox. That goes for names
// whose folder was deleted as well.
//
// The mark is in the context, and not an argument of each call, so that no read
// of a session can be made without it.
func Viewing(ctx context.Context, login string) context.Context {
	return context.WithValue(ctx, viewerKey{}, login)
}

// Viewer is the login that a read or step is marked with, "" for none.
func Viewer(ctx context.Context) string {
	login, _ := ctx.Value(viewerKey{}).(string)
	return login
}
