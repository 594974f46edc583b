// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	"bufio"

	"github.com/emersion/go-imap/v2"

	"pecd/storage"
	"pecd/storage/sqlite"
)

// holdings is what a store holds of what clients were told.
type holdings struct {
	kinds map[string]map[string]int               // Message-ID of a client, "kind in mailbox"
	kept  map[string]map[string]map[imap.UID]kept // keeper, folder
}

// original finds the client's Message-ID in a message.
var original = regexp.MustCompile(`(?mi)^(?:X-Riferimento-)?Message-ID:\s*(<[^>]+@(?:client|mail)\.example>)`)

// readHoldings reads a store that no process has open.
func readHoldings(dir string) (h *holdings, err error) {
	ctx := context.Background()
	st, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	h = &holdings{make(map[string]map[string]int), make(map[string]map[string]map[imap.UID]kept)}
	err = st.Mailboxes(ctx, "", func(box storage.Mailbox) error {
		folders, err := st.Folders(ctx, box.ID)
		if err != nil {
			return err
		}
		for _, f := range folders {
			err := st.Messages(ctx, f.ID, 1, 0, func(m storage.Message) error { return h.add(ctx, st, box.Address, f.Name, m) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	return h, err
}

func (h *holdings) add(ctx context.Context, st *sqlite.Store, box, folder string, m storage.Message) error {
	body, err := st.OpenBody(ctx, m.Body)
	if err != nil {
		return err
	}
	defer body.Close()
	head := make([]byte, min(body.Size(), 16<<10))
	if _, err := body.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(string(head)))).ReadMIMEHeader()
	if token := header.Get("X-Token"); token != "" {
		if h.kept[box] == nil {
			h.kept[box] = make(map[string]map[imap.UID]kept)
		}
		if h.kept[box][folder] == nil {
			h.kept[box][folder] = make(map[imap.UID]kept)
		}
		var flags []imap.Flag
		for _, f := range m.Flags {
			flags = append(flags, imap.Flag(f))
		}
		h.kept[box][folder][imap.UID(m.UID)] = kept{token, flagText(flags)}
		return nil
	}
	id := ""
	if found := original.FindSubmatch(head); found != nil {
		id = string(found[1])
	}
	if h.kinds[id] == nil {
		h.kinds[id] = make(map[string]int)
	}
	h.kinds[id][header.Get("X-Ricevuta")+header.Get("X-Trasporto")+" in "+box]++
	return nil
}

// lacks says what is wrong with the holdings of a store that crashed at an
// instant: what a client had been told by then is there, and nothing twice.
// Whether a transaction is whole is for `pecd verify` to say.
func (h *holdings) lacks(list []sending, keepers []*keeper, at time.Time) (problems []string) {
	for _, e := range list {
		got := h.kinds[e.id]
		for what, n := range got {
			if n > 1 && !strings.HasPrefix(what, "avvenuta-consegna") && !strings.HasPrefix(what, "presa-in-carico") {
				problems = append(problems, fmt.Sprintf("%s: %d × %s", e.id, n, what))
			}
		}
		var first []string
		switch {
		case e.mx:
			for _, r := range e.to {
				first = append(first, "errore in "+r.address)
			}
		case e.wrong:
			first = []string{"non-accettazione in " + e.from}
		default:
			first = []string{"accettazione in " + e.from}
		}
		if !e.mx && files(e.from) {
			first = append(first, " in "+e.from) // the copy has neither field
		}
		there := 0
		for _, what := range first {
			there += min(1, got[what])
		}
		told := e.told == accepted && e.ended.Before(at)
		switch {
		case told && there < len(first):
			problems = append(problems, fmt.Sprintf("%s was answered 250 %v before the crash, and %d of %d are there", e.id, at.Sub(e.ended), there, len(first)))
		case there > 0 && there < len(first):
			problems = append(problems, fmt.Sprintf("%s is half there", e.id))
		case there == 0 && len(got) > 0:
			problems = append(problems, fmt.Sprintf("%s: %v without the first answer", e.id, got))
		case (e.told == never || e.told == refused || e.begun.After(at)) && len(got) > 0:
			problems = append(problems, fmt.Sprintf("%s was not accepted, and there is %v", e.id, got))
		}
	}
	for _, k := range keepers {
		if wrong := k.lacks(h.kept[k.login], at); wrong != "" {
			problems = append(problems, k.login+": "+wrong)
		}
	}
	return problems
}

// lacks says in what a mailbox differs from what its keeper had been told by an
// instant, "" for nothing.
func (k *keeper) lacks(there map[string]map[imap.UID]kept, at time.Time) string {
	now := shape{known: make(map[string]map[imap.UID]kept)}
	i := 0
	for ; i < len(k.tries) && k.tries[i].ended.Before(at); i++ {
		if k.tries[i].ok {
			now = k.tries[i].then
		}
	}
	judge := &keeper{login: k.login}
	_, wrong := judge.fits(now, there)
	if wrong == "" || i == len(k.tries) {
		return wrong
	}
	if _, also := judge.fits(k.tries[i].open, there); also != "" {
		return fmt.Sprintf("without the command under way: %s; with it: %s", wrong, also)
	}
	return ""
}

// told returns those of list that were answered, by when.
func answered(list []sending) []sending {
	list = slices.DeleteFunc(slices.Clone(list), func(e sending) bool { return e.told != accepted })
	slices.SortFunc(list, func(a, b sending) int { return a.ended.Compare(b.ended) })
	return list
}
