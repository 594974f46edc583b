// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"

	"pecd/storage"
)

// nearby is how many messages between two spans are rather read than asked for apart.
const nearby = 64

// rows calls fn for the messages of spans that are still there, in order, with
// the summaries kept of them where these are asked for. fn must not change the
// order of the view.
func (s *session) rows(ctx context.Context, spans []span, summaries bool, fn func(i int, m storage.Message, summary []byte) error) error {
	for k := 0; k < len(spans); {
		j := k
		for j+1 < len(spans) && spans[j+1].lo-spans[j].hi <= nearby {
			j++
		}
		if err := s.rowsOf(ctx, spans[k:j+1], summaries, fn); err != nil {
			return err
		}
		k = j + 1
	}
	return nil
}

// rowsOf is rows for spans that lie close together.
func (s *session) rowsOf(ctx context.Context, group []span, summaries bool, fn func(i int, m storage.Message, summary []byte) error) error {
	uids := s.view.uids
	i, last := group[0].lo, group[len(group)-1].hi
	from, to := uids[i], uids[last-1]
	var failed error // of fn
	row := func(m storage.Message, summary []byte) error {
		for i < last && uids[i] < m.UID {
			i++
		}
		for len(group) > 0 && group[0].hi <= i {
			group = group[1:]
		}
		if i < last && uids[i] == m.UID && group[0].lo <= i {
			failed = fn(i, m, summary)
		}
		return failed
	}
	var err error
	if summaries {
		err = s.store.Summaries(ctx, s.view.folder.ID, from, to, row)
	} else {
		err = s.store.Messages(ctx, s.view.folder.ID, from, to, func(m storage.Message) error { return row(m, nil) })
	}
	if failed != nil || err == nil {
		return failed
	}
	return s.refuse(err)
}

// count is the number of messages of spans.
func count(spans []span) int {
	n := 0
	for _, s := range spans {
		n += s.hi - s.lo
	}
	return n
}
