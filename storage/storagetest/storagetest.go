// SPDX-License-Identifier: EUPL-1.2

// Package storagetest is the contract suite of package storage: every back end
// runs it and passes it whole.
package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"pecd/fault"
	"pecd/storage"
)

// Run runs the suite. open opens the store in dir, creating it where there is
// none; the suite closes it and opens it again.
func Run(t *testing.T, open func(t *testing.T, dir string) storage.Store) {
	for _, c := range []struct {
		name string
		run  func(*env)
	}{
		{"Empty", testEmpty},
		{"Folders", testFolders},
		{"FolderNames", testFolderNames},
		{"FolderRename", testFolderRename},
		{"FolderRenameInbox", testFolderRenameInbox},
		{"FolderDelete", testFolderDelete},
		{"FolderValidity", testFolderValidity},
		{"Append", testAppend},
		{"AppendTargets", testAppendTargets},
		{"Quota", testQuota},
		{"Destination", testDestination},
		{"Optional", testOptional},
		{"SentCopies", testSentCopies},
		{"SentCopyLarge", testSentCopyLarge},
		{"MessagesRange", testMessagesRange},
		{"Summaries", testSummaries},
		{"SummariesMany", testSummariesMany},
		{"FlagsList", testFlagsList},
		{"Flags", testFlags},
		{"FlagsConditional", testFlagsConditional},
		{"FlagsRefused", testFlagsRefused},
		{"Expunge", testExpunge},
		{"Copy", testCopy},
		{"Move", testMove},
		{"Discard", testDiscard},
		{"DiscardAgain", testDiscardAgain},
		{"DiscardRefused", testDiscardRefused},
		{"RecoverableQuota", testRecoverableQuota},
		{"UIDLs", testUIDLs},
		{"Changes", testChanges},
		{"Horizon", testHorizon},
		{"Watch", testWatch},
		{"BodySegments", testBodySegments},
		{"BodyShared", testBodyShared},
		{"BodySkip", testBodySkip},
		{"BodyUnused", testBodyUnused},
		{"BodyRefused", testBodyRefused},
		{"BodyHandover", testBodyHandover},
		{"BodyOpenOutlives", testBodyOpenOutlives},
		{"BlobDedupe", testBlobDedupe},
		{"BlobRange", testBlobRange},
		{"BlobsOfOneSpool", testBlobsOfOneSpool},
		{"LargeBody", testLargeBody},
		{"Spool", testSpool},
		{"SpoolAfterFailure", testSpoolAfterFailure},
		{"Jobs", testJobs},
		{"JobsOrder", testJobsOrder},
		{"JobsLanes", testJobsLanes},
		{"JobsPause", testJobsPause},
		{"JobsHold", testJobsHold},
		{"JobsReopen", testJobsReopen},
		{"JobsWatch", testJobsWatch},
		{"JobsMany", testJobsMany},
		{"Once", testOnce},
		{"Transactions", testTransactions},
		{"ExpectPending", testExpectPending},
		{"TransactionsMany", testTransactionsMany},
		{"Records", testRecords},
		{"LogChain", testLogChain},
		{"Logged", testLogged},
		{"FindRecords", testFindRecords},
		{"Seals", testSeals},
		{"Quarantine", testQuarantine},
		{"Sent", testSent},
		{"Accounts", testAccounts},
		{"Protections", testProtections},
		{"AccountsRefused", testAccountsRefused},
		{"AppPasswords", testAppPasswords},
		{"AccountsMany", testAccountsMany},
		{"Filters", testFilters},
		{"Contacts", testContacts},
		{"Codes", testCodes},
		{"Targets", testTargets},
		{"Arrivals", testArrivals},
		{"QuotaLevels", testQuotaLevels},
		{"Tokens", testTokens},
		{"Recoveries", testRecoveries},
		{"SentAs", testSentAs},
		{"FailingStep", testFailingStep},
		{"Reopen", testReopen},
		{"Cancelled", testCancelled},
		{"Closed", testClosed},
		{"PersonalSeen", testPersonalSeen},
		{"PersonalSeenMany", testPersonalSeenMany},
		{"PersonalSeenCopies", testPersonalSeenCopies},
		{"PersonalSeenModel", testPersonalSeenModel},
		{"Subscriptions", testSubscriptions},
		{"GoneSubscriptions", testGoneSubscriptions},
		{"GoneSubscriptionsUsers", testGoneSubscriptionsUsers},
		{"ConcurrentAppends", testConcurrentAppends},
		{"ConcurrentSentCopies", testConcurrentSentCopies},
		{"ConcurrentIsolation", testConcurrentIsolation},
		{"ConcurrentLarge", testConcurrentLarge},
		{"ConcurrentBlobs", testConcurrentBlobs},
		{"Model", testModel},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &env{T: t, ctx: context.Background(), dir: t.TempDir(), open: open}
			e.Store = open(t, e.dir)
			t.Cleanup(func() { e.Store.Close() })
			c.run(e)
			if !t.Failed() {
				e.clean()
			}
		})
	}
}

// env is one test with its store.
type env struct {
	*testing.T
	storage.Store
	ctx  context.Context
	dir  string
	open func(t *testing.T, dir string) storage.Store
}

// at is an instant with nanoseconds, which the store keeps but for IMAP dates.
var at = time.Date(2026, 6, 3, 10, 15, 5, 123456789, time.UTC)

// ok commits a step that must succeed.
func (e *env) ok(ops ...storage.Op) {
	e.Helper()
	if err := e.Commit(e.ctx, &storage.Step{Ops: ops}); err != nil {
		e.Fatalf("commit: %v", err)
	}
}

// fails commits a step that must fail with kind k and leave no trace.
func (e *env) fails(k fault.Kind, ops ...storage.Op) {
	e.Helper()
	before := e.dump()
	e.wants(k, e.Commit(e.ctx, &storage.Step{Ops: ops}))
	if after := e.dump(); after != before {
		e.Fatalf("failed step left a trace:\n%s\nbefore:\n%s", after, before)
	}
}

func (e *env) wants(k fault.Kind, err error) {
	e.Helper()
	if err == nil {
		e.Fatalf("no error, want %v", k)
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		e.Fatalf("%v (%T) is no fault", err, err)
	}
	if fault.KindOf(err) != k {
		e.Fatalf("%v: kind %v, want %v", err, fault.KindOf(err), k)
	}
}

// must returns v of a call that must succeed.
func must[V any](v V, err error) func(*env) V {
	return func(e *env) V {
		e.Helper()
		if err != nil {
			e.Fatal(err)
		}
		return v
	}
}

func equal[V comparable](e *env, what string, got, want V) {
	e.Helper()
	if got != want {
		e.Fatalf("%s: %v, want %v", what, got, want)
	}
}

// clean runs Check and wants no problem.
func (e *env) clean() {
	e.Helper()
	err := e.Check(e.ctx, func(p storage.Problem) error {
		e.Errorf("check: %s: %s", p.Where, p.What)
		return nil
	})
	if err != nil {
		e.Fatalf("check: %v", err)
	}
}

// again closes the store and opens it anew.
func (e *env) again() {
	e.Helper()
	if err := e.Store.Close(); err != nil {
		e.Fatal(err)
	}
	e.Store = e.open(e.T, e.dir)
}

// box creates a mailbox and returns its INBOX.
func (e *env) box(addr string) storage.Folder {
	e.Helper()
	op := &storage.PutMailbox{Mailbox: storage.Mailbox{Address: addr, Domain: domainOf(addr), Tier: "standard", State: storage.MailboxActive}}
	e.ok(op)
	return e.named(op.ID, "INBOX")
}

func domainOf(addr string) string {
	_, d, _ := strings.Cut(addr, "@")
	return d
}

func (e *env) named(m storage.MailboxID, name string) storage.Folder {
	e.Helper()
	return must(e.Folder(e.ctx, m, name))(e)
}

// now reads a folder again.
func (e *env) now(f storage.Folder) storage.Folder {
	e.Helper()
	return must(e.FolderByID(e.ctx, f.ID))(e)
}

func (e *env) folder(m storage.MailboxID, name string) storage.Folder {
	e.Helper()
	op := &storage.CreateFolder{Mailbox: m, Name: name}
	e.ok(op)
	return op.Folder
}

// text returns operations that append a small message.
func text(f storage.Folder, body string, flags ...string) (*storage.NewBody, *storage.Append) {
	b := &storage.NewBody{Head: []byte(body)}
	return b, &storage.Append{Folder: f.ID, Body: storage.BodyRef{New: b}, Flags: flags, InternalDate: at}
}

// put appends a small message and returns its UID.
func (e *env) put(f storage.Folder, body string, flags ...string) uint32 {
	e.Helper()
	b, a := text(f, body, flags...)
	e.ok(b, a)
	return a.UID
}

// list returns the messages of a folder.
func (e *env) list(f storage.Folder) []storage.Message {
	e.Helper()
	return e.between(f, 1, 0)
}

func (e *env) between(f storage.Folder, from, to uint32) []storage.Message {
	e.Helper()
	var out []storage.Message
	err := e.Messages(e.ctx, f.ID, from, to, func(m storage.Message) error {
		out = append(out, m)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return out
}

func (e *env) message(f storage.Folder, uid uint32) storage.Message {
	e.Helper()
	ms := e.between(f, uid, uid)
	if len(ms) != 1 {
		e.Fatalf("folder %d uid %d: %d messages", f.ID, uid, len(ms))
	}
	return ms[0]
}

func uids(ms []storage.Message) []uint32 {
	var out []uint32
	for _, m := range ms {
		out = append(out, m.UID)
	}
	return out
}

// read returns the bytes of a body.
func (e *env) read(id storage.BodyID) []byte {
	e.Helper()
	b := must(e.OpenBody(e.ctx, id))(e)
	defer b.Close()
	got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
	if err != nil {
		e.Fatalf("body %d: %v", id, err)
	}
	equal(e, "size of body", int64(len(got)), b.Size())
	return got
}

// spool returns a spool that holds data.
func (e *env) spool(data []byte) storage.Spool {
	e.Helper()
	sp := e.NewSpool()
	e.Cleanup(func() { sp.Close() })
	if n, err := sp.Write(data); n != len(data) || err != nil {
		e.Fatalf("spool: %d, %v", n, err)
	}
	return sp
}

// dump prints everything that can be read, for comparing.
func (e *env) dump() string {
	e.Helper()
	var out strings.Builder
	line := func(v any) error { fmt.Fprintf(&out, "%+v\n", v); return nil }
	line(e.sent())
	line(must(e.Tiers(e.ctx))(e))
	line(must(e.Domains(e.ctx))(e))
	err := e.Mailboxes(e.ctx, "", func(m storage.Mailbox) error {
		line(m)
		line(must(e.GoneSubscriptions(e.ctx, m.ID))(e))
		for _, f := range must(e.Folders(e.ctx, m.ID))(e) {
			line(f)
			for _, msg := range e.list(f) {
				line(msg)
			}
			line(must(e.Store.Changes(e.ctx, f.ID, 0))(e).Vanished)
		}
		return nil
	})
	err = errors.Join(err,
		e.Store.Jobs(e.ctx, "", func(j storage.Job) error { return line(j) }),
		e.EachTransaction(e.ctx, time.Time{}, func(t storage.Transaction) error { return line(t) }),
		e.Store.Records(e.ctx, 0, func(r storage.Record) error { return line(r) }),
		e.Seals(e.ctx, 0, func(s storage.Seal) error { return line(s) }),
		e.EachQuarantined(e.ctx, time.Time{}, func(q storage.Quarantined) error { return line(q) }))
	if err != nil {
		e.Fatal(err)
	}
	return out.String()
}
