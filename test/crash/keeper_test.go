// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// openIMAP logs in to a mailbox.
func (n *node) openIMAP(login string) (*imapclient.Client, error) {
	c, err := imapclient.DialTLS(n.imap, &imapclient.Options{TLSConfig: n.site.tls()})
	if err != nil {
		return nil, err
	}
	if err := c.Login(login, n.site.password).Wait(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// kept is a message in a folder.
type kept struct{ token, flags string }

// shape is the state of the keeper's mailbox, as told by its commands.
type shape struct {
	known map[string]map[imap.UID]kept // by folder
	fresh map[string][]kept            // in the folder, under UIDs that were not told
}

func (s shape) clone() shape {
	c := shape{make(map[string]map[imap.UID]kept), make(map[string][]kept)}
	for f, m := range s.known {
		c.known[f] = maps.Clone(m)
	}
	for f, m := range s.fresh {
		c.fresh[f] = slices.Clone(m)
	}
	return c
}

// keeper changes a mailbox of its own by IMAP, one command at a time, and knows
// what must be in it.
type keeper struct {
	t       testing.TB
	n       *node
	login   string
	rnd     *rand.Rand
	c       *imapclient.Client
	now     shape               // before the command that is under way
	then    *shape              // after it; nil: none is
	what    string              // the command
	last    map[string]imap.UID // highest UID seen, by folder
	bodies  map[string][32]byte // by token
	number  int
	tries   []try // every command; nil: not kept
	history bool  // keep them
	changes int   // commands answered OK
	checks  int   // times the whole mailbox was compared
}

// try is one command.
type try struct {
	open  shape // what it leads to, its new messages without their UIDs
	then  shape // the same with them, once they are told
	ended time.Time
	ok    bool
}

var keeperFolders = []string{"INBOX", "Archivio", "Copie"}

func newKeeper(t testing.TB, n *node, login string, rnd *rand.Rand) *keeper {
	k := &keeper{t: t, n: n, login: login, rnd: rnd, last: make(map[string]imap.UID), bodies: make(map[string][32]byte)}
	k.now = shape{make(map[string]map[imap.UID]kept), make(map[string][]kept)}
	for _, f := range keeperFolders {
		k.now.known[f] = make(map[imap.UID]kept)
	}
	return k
}

// step does one command, on a new connection after one was lost. The error is
// that of the connection.
func (k *keeper) step() error {
	if k.c == nil {
		if err := k.connect(); err != nil {
			return err
		}
	}
	folder := keeperFolders[k.rnd.IntN(len(keeperFolders))]
	if _, err := k.c.Select(folder, nil).Wait(); err != nil {
		return k.lose(err)
	}
	uids := slices.Sorted(maps.Keys(k.now.known[folder]))
	total := 0
	for _, m := range k.now.known {
		total += len(m)
	}
	switch n := k.rnd.IntN(10); {
	case len(uids) == 0 || n < 3 && total < 60:
		return k.append(folder)
	case n < 5:
		return k.flag(folder, k.some(uids))
	case n < 8 && total < 80:
		return k.transfer(folder, k.some(uids), k.rnd.IntN(2) == 0)
	}
	return k.expunge(folder, k.some(uids))
}

func (k *keeper) connect() error {
	c, err := k.n.openIMAP(k.login)
	if err != nil {
		return err
	}
	k.c = c
	for _, f := range keeperFolders[1:] {
		err := c.Create(f, nil).Wait()
		var said *imap.Error
		if err != nil && !errors.As(err, &said) { // there already
			return k.lose(err)
		}
	}
	return k.compare(false)
}

func (k *keeper) lose(err error) error {
	k.c.Close()
	k.c = nil
	return err
}

// some picks one to five of uids.
func (k *keeper) some(uids []imap.UID) []imap.UID {
	k.rnd.Shuffle(len(uids), func(i, j int) { uids[i], uids[j] = uids[j], uids[i] })
	return slices.Sorted(slices.Values(uids[:min(len(uids), 1+k.rnd.IntN(5))]))
}

// do runs a command whose outcome is then, and settles what is known of it.
func (k *keeper) do(what string, then shape, run func() error) error {
	k.what, k.then = what, &then
	if k.history {
		k.tries = append(k.tries, try{open: then.clone()})
	}
	err := run()
	if k.history {
		last := &k.tries[len(k.tries)-1]
		last.then, last.ended, last.ok = then, time.Now(), err == nil
	}
	var said *imap.Error
	switch {
	case err == nil:
		k.now, k.then = then, nil
		k.changes++
	case errors.As(err, &said) && said.Type == imap.StatusResponseTypeNo:
		k.then = nil
	default:
		return k.lose(err)
	}
	return nil
}

var keeperFlags = []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, imap.FlagDraft, "Lavorato"}

func (k *keeper) append(folder string) error {
	k.number++
	token := fmt.Sprintf("%s-%d", k.login, k.number)
	flags := []imap.Flag{keeperFlags[k.rnd.IntN(len(keeperFlags))]}
	size := pickSize(k.rnd)
	message := []byte("From: <" + k.login + ">\r\nX-Token: " + token + "\r\nSubject: prova\r\n\r\n" + string(noise(k.rnd, size)))
	k.bodies[token] = sha256.Sum256(message)
	then := k.now.clone()
	then.fresh[folder] = append(then.fresh[folder], kept{token, flagText(flags)})
	var data *imap.AppendData
	err := k.do("APPEND "+folder, then, func() error {
		cmd := k.c.Append(folder, int64(len(message)), &imap.AppendOptions{Flags: flags})
		_, werr := cmd.Write(message)
		cerr := cmd.Close()
		var err error
		if data, err = cmd.Wait(); err != nil {
			return err
		}
		return errors.Join(werr, cerr)
	})
	if err == nil && k.told() {
		k.name(folder, []imap.UID{data.UID})
	}
	return err
}

// told reports whether the last command was answered OK.
func (k *keeper) told() bool { return k.then == nil && len(k.now.fresh) > 0 }

// name gives the fresh messages of a folder the UIDs that were told.
func (k *keeper) name(folder string, uids []imap.UID) {
	fresh := k.now.fresh[folder]
	delete(k.now.fresh, folder)
	if len(uids) != len(fresh) {
		k.t.Errorf("%s: %s told UIDs %v for %d messages", k.login, k.what, uids, len(fresh))
		return
	}
	for i, m := range fresh {
		if uids[i] <= k.last[folder] {
			k.t.Errorf("%s: %s gave UID %d again in %s", k.login, k.what, uids[i], folder)
		}
		k.now.known[folder][uids[i]] = m
	}
	k.last[folder] = max(k.last[folder], slices.Max(uids))
}

func (k *keeper) flag(folder string, uids []imap.UID) error {
	op := imap.StoreFlagsOp(k.rnd.IntN(3))
	flags := []imap.Flag{keeperFlags[k.rnd.IntN(len(keeperFlags))]}
	then := k.now.clone()
	for _, uid := range uids {
		m := then.known[folder][uid]
		have := strings.Fields(m.flags)
		switch op {
		case imap.StoreFlagsSet:
			have = nil
			fallthrough
		case imap.StoreFlagsAdd:
			have = append(have, strings.ToLower(string(flags[0])))
		case imap.StoreFlagsDel:
			have = slices.DeleteFunc(have, func(f string) bool { return strings.EqualFold(f, string(flags[0])) })
		}
		slices.Sort(have)
		m.flags = strings.Join(slices.Compact(have), " ")
		then.known[folder][uid] = m
	}
	return k.do(fmt.Sprintf("STORE %s %v", folder, uids), then, func() error {
		return k.c.Store(imap.UIDSetNum(uids...), &imap.StoreFlags{Op: op, Flags: flags, Silent: true}, nil).Close()
	})
}

func (k *keeper) transfer(folder string, uids []imap.UID, move bool) error {
	to := folder
	for to == folder {
		to = keeperFolders[k.rnd.IntN(len(keeperFolders))]
	}
	then := k.now.clone()
	for _, uid := range uids {
		then.fresh[to] = append(then.fresh[to], then.known[folder][uid])
		if move {
			delete(then.known[folder], uid)
		}
	}
	var dest imap.NumSet
	what := "COPY"
	if move {
		what = "MOVE"
	}
	err := k.do(fmt.Sprintf("%s %s %v %s", what, folder, uids, to), then, func() error {
		if !move {
			data, err := k.c.Copy(imap.UIDSetNum(uids...), to).Wait()
			if err == nil {
				dest = data.DestUIDs
			}
			return err
		}
		data, err := k.c.Move(imap.UIDSetNum(uids...), to).Wait()
		if err == nil {
			dest = data.DestUIDs
		}
		return err
	})
	if err == nil && k.told() {
		set, _ := dest.(imap.UIDSet)
		named, _ := set.Nums()
		k.name(to, named)
	}
	return err
}

func (k *keeper) expunge(folder string, uids []imap.UID) error {
	then := k.now.clone()
	for _, uid := range uids {
		m := then.known[folder][uid]
		have := append(strings.Fields(m.flags), `\deleted`)
		slices.Sort(have)
		m.flags = strings.Join(slices.Compact(have), " ")
		then.known[folder][uid] = m
	}
	set := imap.UIDSetNum(uids...)
	err := k.do(fmt.Sprintf("STORE Deleted %s %v", folder, uids), then, func() error {
		return k.c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.FlagDeleted}, Silent: true}, nil).Close()
	})
	if err != nil {
		return err
	}
	then = k.now.clone()
	maps.DeleteFunc(then.known[folder], func(uid imap.UID, m kept) bool {
		return slices.Contains(uids, uid) && strings.Contains(m.flags, `\deleted`)
	})
	return k.do(fmt.Sprintf("EXPUNGE %s %v", folder, uids), then, func() error {
		_, err := k.c.UIDExpunge(set).Collect()
		return err
	})
}

// flagText is flags without \Recent, sorted.
func flagText(flags []imap.Flag) string {
	var out []string
	for _, f := range flags {
		if !strings.EqualFold(string(f), `\Recent`) {
			out = append(out, strings.ToLower(string(f)))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// compare reads the whole mailbox: it must be what the answers say, with the
// command that got none carried out entirely or not at all. whole compares the
// messages' bytes, too.
func (k *keeper) compare(whole bool) error {
	there, err := k.read(whole)
	if err != nil {
		return k.lose(err)
	}
	k.checks++
	named, wrong := k.fits(k.now, there)
	if wrong != "" && k.then != nil {
		var also string
		if named, also = k.fits(*k.then, there); also == "" {
			wrong = ""
		} else {
			wrong = fmt.Sprintf("%s got no answer; not carried out it would be: %s; carried out: %s", k.what, wrong, also)
		}
	}
	if wrong != "" {
		k.t.Errorf("%s after a kill: %s", k.login, wrong)
		named = shape{there, make(map[string][]kept)}
	}
	k.now, k.then = named, nil
	for f, m := range there {
		for uid := range m {
			k.last[f] = max(k.last[f], uid)
		}
	}
	return nil
}

// fits says in what there differs from s, "" for nothing, and s with all its
// messages named.
func (k *keeper) fits(s shape, there map[string]map[imap.UID]kept) (named shape, wrong string) {
	s = s.clone()
	for _, f := range keeperFolders {
		for uid, m := range s.known[f] {
			if got, ok := there[f][uid]; !ok {
				return s, fmt.Sprintf("%s uid %d (%s) is gone", f, uid, m.token)
			} else if got != m {
				return s, fmt.Sprintf("%s uid %d is %v, was told %v", f, uid, got, m)
			}
		}
		for uid, m := range there[f] {
			if _, ok := s.known[f][uid]; ok {
				continue
			}
			i := slices.Index(s.fresh[f], m)
			if i < 0 || uid <= k.last[f] {
				return s, fmt.Sprintf("%s uid %d %v is there, and nobody put it there", f, uid, m)
			}
			s.fresh[f] = slices.Delete(s.fresh[f], i, i+1)
			s.known[f][uid] = m
		}
		if len(s.fresh[f]) > 0 {
			return s, fmt.Sprintf("%s lacks %v", f, s.fresh[f])
		}
		delete(s.fresh, f)
	}
	return s, ""
}

func (k *keeper) read(whole bool) (map[string]map[imap.UID]kept, error) {
	there := make(map[string]map[imap.UID]kept)
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"X-Token"}, Peek: true}
	if whole {
		section = &imap.FetchItemBodySection{Peek: true}
	}
	for _, f := range keeperFolders {
		if _, err := k.c.Select(f, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			return nil, err
		}
		there[f] = make(map[imap.UID]kept)
		got, err := k.c.Fetch(imap.UIDSet{{Start: 1}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil {
			return nil, err
		}
		for _, m := range got {
			raw := m.FindBodySection(section)
			_, token, _ := strings.Cut(string(raw), "X-Token: ")
			token, _, _ = strings.Cut(token, "\r\n")
			there[f][m.UID] = kept{token, flagText(m.Flags)}
			if whole && k.bodies[token] != sha256.Sum256(raw) {
				k.t.Errorf("%s %s uid %d: the bytes of %s are not those appended", k.login, f, m.UID, token)
			}
		}
	}
	return there, nil
}
