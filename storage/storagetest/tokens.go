// SPDX-License-Identifier: EUPL-1.2

package storagetest

import (
	"errors"
	"fmt"
	"time"

	"pecd/fault"
	"pecd/storage"
)

func testTokens(e *env) {
	token := storage.APIToken{Name: "ERP", Sum: [32]byte{1}, Role: storage.TokenMailbox, Mailbox: 7, Created: at, Expires: at.Add(time.Hour)}
	put := &storage.PutAPIToken{Token: token, Logged: func(id int64) storage.Record {
		return storage.Record{At: at, Event: "made", Data: fmt.Appendf(nil, "token %d", id)}
	}}
	e.ok(put, &storage.PutAPIToken{Token: storage.APIToken{Name: "c", Sum: [32]byte{2}, Role: storage.TokenCustomer, Customer: "c_x", Created: at}})
	token.ID = put.ID
	equal(e, "token", must(e.APIToken(e.ctx, token.Sum))(e), token)
	e.fails(fault.Exists, &storage.PutAPIToken{Token: storage.APIToken{Name: "d", Sum: token.Sum, Role: storage.TokenProvider}})
	e.fails(fault.Invalid, &storage.PutAPIToken{Token: storage.APIToken{Sum: [32]byte{3}, Role: storage.TokenProvider}})
	e.fails(fault.NotFound, &storage.PutAPIToken{Token: storage.APIToken{ID: 99, Name: "d", Role: storage.TokenProvider}})
	_, err := e.APIToken(e.ctx, [32]byte{9})
	e.wants(fault.NotFound, err)

	token.Revoked = at.Add(time.Minute)
	e.ok(&storage.PutAPIToken{Token: token})
	e.again()
	list := must(e.APITokens(e.ctx))(e)
	equal(e, "tokens", len(list), 2)
	equal(e, "revoked token", list[0], token)
	var logged []string
	err = e.FindRecords(e.ctx, storage.RecordQuery{Event: "made"}, func(r storage.Record) error {
		logged = append(logged, string(r.Data))
		return nil
	})
	equal(e, "logged", fmt.Sprint(logged, err), fmt.Sprintf("[token %d] <nil>", token.ID))
}

func testRecoveries(e *env) {
	e.ok(&storage.PutUser{User: storage.User{Login: "anna", Hash: "h", Created: at}})
	sum := [32]byte{5}
	begin := func(kind storage.RecoveryKind, sum []byte, when time.Time) {
		e.ok(&storage.AddRecovery{Recovery: storage.Recovery{Kind: kind, Login: "Anna", Sum: sum, By: "x", Created: when, Expires: when.Add(time.Hour)}})
	}
	begin(storage.RecoveryLink, sum[:], at)
	begin(storage.RecoveryCode, []byte("code"), at.Add(time.Minute))
	link := must(e.RecoveryLink(e.ctx, sum))(e)
	equal(e, "link", fmt.Sprint(link.Login, link.Kind, link.By, link.Created.Equal(at), link.Expires.Equal(at.Add(time.Hour)), link.Used.IsZero()), "annalinkxtrue true true")
	_, err := e.RecoveryLink(e.ctx, [32]byte{'c', 'o', 'd', 'e'})
	e.wants(fault.NotFound, err)
	all := must(e.Recoveries(e.ctx, "ANNA", at))(e)
	equal(e, "newest first", fmt.Sprint(len(all), all[0].Kind, string(all[0].Sum)), "2codecode")
	equal(e, "since", len(must(e.Recoveries(e.ctx, "anna", at.Add(time.Second)))(e)), 1)

	id := all[0].ID
	e.ok(&storage.TryRecovery{ID: id, Most: 2})
	e.ok(&storage.TryRecovery{ID: id, Most: 2})
	e.fails(fault.Conflict, &storage.TryRecovery{ID: id, Most: 2})
	e.ok(&storage.UseRecovery{ID: link.ID, At: at.Add(time.Second)})
	e.fails(fault.Conflict, &storage.UseRecovery{ID: link.ID, At: at})
	e.fails(fault.Conflict, &storage.TryRecovery{ID: link.ID, Most: 9})
	e.ok(&storage.EndRecoveries{Login: "ANNA", At: at.Add(time.Minute)})
	e.fails(fault.Conflict, &storage.UseRecovery{ID: id, At: at})
	e.again()
	equal(e, "tries", must(e.Recoveries(e.ctx, "anna", at))(e)[0].Tries, 2)
	equal(e, "used", must(e.RecoveryLink(e.ctx, sum))(e).Used, at.Add(time.Second))
	e.fails(fault.Invalid, &storage.AddRecovery{Recovery: storage.Recovery{Kind: storage.RecoveryLink, Login: "anna"}})

	begin(storage.RecoveryCode, []byte("later"), at.Add(24*time.Hour+time.Second))
	equal(e, "the oldest is forgotten", len(must(e.Recoveries(e.ctx, "anna", at))(e)), 2)
}

// testSentAs: what an application sent is found by the Message-ID it gave.
func testSentAs(e *env) {
	first, again, foreign, without := sample("id1", true), sample("id2", true), sample("id3", false), sample("id4", true)
	without.MsgID = ""
	for _, t := range []storage.Transaction{first, again, foreign, without} {
		e.ok(&storage.PutTransaction{Transaction: t})
	}
	found := func(sender, msgID string, limit int) string {
		var ids []string
		for _, t := range must(e.SentAs(e.ctx, sender, msgID, limit))(e) {
			ids = append(ids, t.ID)
			if len(t.Recipients) != 3 {
				e.Error(errors.New("recipients are missing"))
			}
		}
		return fmt.Sprint(ids)
	}
	equal(e, "found", found("MITTENTE@x.it", "<m@x.it>", 10), "[id2 id1]")
	equal(e, "bounded", found("mittente@x.it", "<m@x.it>", 1), "[id2]")
	equal(e, "of another", found("altro@x.it", "<m@x.it>", 10), "[]")
	equal(e, "unknown", found("mittente@x.it", "<n@x.it>", 10)+found("mittente@x.it", "", 10), "[][]")
}
