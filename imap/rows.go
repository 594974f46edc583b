// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"errors"

	"pecd/storage"
)

const (
	rowPage = 256 // rows read before any of them is worked on
	nearby  = 64  // messages between two spans that are rather read than asked for apart
)

var errPage = errors.New("page full")

// rows calls fn for the messages of spans that are still there, in order. The
// store is read in pages, so that no read stays open while a client takes its
// time. fn must not change the order of the view.
func (s *session) rows(ctx context.Context, spans []span, fn func(i int, m storage.Message) error) error {
	page := make([]storage.Message, 0, rowPage)
	for k := 0; k < len(spans); {
		j := k
		for j+1 < len(spans) && spans[j+1].lo-spans[j].hi <= nearby {
			j++
		}
		group := spans[k : j+1]
		k = j + 1
		from, to := s.view.uids[group[0].lo], s.view.uids[group[len(group)-1].hi-1]
		for from <= to && from != 0 {
			page = page[:0]
			err := s.store.Messages(ctx, s.view.folder.ID, from, to, func(m storage.Message) error {
				page = append(page, m)
				if len(page) == rowPage {
					return errPage
				}
				return nil
			})
			if err != nil && !errors.Is(err, errPage) {
				return s.refuse(err)
			}
			if len(page) == 0 {
				break
			}
			from = page[len(page)-1].UID + 1
			if group, err = s.rowsOf(page, group, fn); err != nil {
				return err
			}
			if len(page) < rowPage {
				break
			}
		}
	}
	return nil
}

// rowsOf calls fn for the rows of a page that lie in group and returns what of
// group may still come.
func (s *session) rowsOf(page []storage.Message, group []span, fn func(i int, m storage.Message) error) ([]span, error) {
	for _, m := range page {
		i, ok := s.view.index(m.UID)
		if !ok {
			continue
		}
		for len(group) > 0 && group[0].hi <= i {
			group = group[1:]
		}
		if len(group) == 0 || i < group[0].lo {
			continue
		}
		if err := fn(i, m); err != nil {
			return group, err
		}
	}
	return group, nil
}

// count is the number of messages of spans.
func count(spans []span) int {
	n := 0
	for _, s := range spans {
		n += s.hi - s.lo
	}
	return n
}
