// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"database/sql"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"pecd/ledger"
	"pecd/storage"
)

// TestMigrateChainsOldRecords: a log from before the chain gets one, and goes on.
func TestMigrateChainsOldRecords(t *testing.T) {
	dir := t.TempDir()
	text, err := fs.ReadFile(schema, "schema/0001_initial.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "pecd.db"))
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`%s
		PRAGMA application_id = %d; PRAGMA user_version = 1;
		INSERT INTO records (at, event, id, mailbox, data) VALUES (1, 'a', '', '', x'61'), (2, 'b', '', '', NULL);
		INSERT INTO jobs (kind, lane, due, created, attempts, last_error) VALUES ('k', 'l', 0, 0, 0, '');`, text, applicationID)
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, dir, Options{})
	commit(t, s, &storage.AppendRecord{Record: storage.Record{Event: "c", Data: []byte("c")}})
	wantClean(t, s)
	st, err := s.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := ledger.Link(ledger.Link(ledger.Link([32]byte{}, 1, []byte("a")), 2, nil), 3, []byte("c")); st.Head != want || st.Last != 3 {
		t.Fatalf("log ends at %d with %x, want %x", st.Last, st.Head, want)
	}
	if jobs, err := s.TakeDue(t.Context(), "k", s.opts.Clock.Now(), 1, 1); err != nil || len(jobs) != 1 || !jobs[0].Expires.IsZero() || jobs[0].Held {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
}

// backToVersion2 takes away what the migrations after the second one added.
const backToVersion2 = `DROP TABLE summaries; DROP TABLE identity;
	DROP TABLE app_passwords; DROP TABLE seen; DROP TABLE uidls; DROP TABLE sent_copies;
	DROP TABLE seen_counts; DROP TABLE subscriptions; DROP TABLE gone_subscriptions;
	DROP TABLE sent; DROP TABLE filters; DROP TABLE protections; DROP TABLE quota_levels; DROP TABLE notices_allowed; DROP TABLE notices_due; DROP TABLE notices; DROP TABLE codes; DROP TABLE contacts;
	DROP TABLE api_tokens; DROP TABLE recoveries; DROP TABLE ceilings; DROP TABLE customers; DROP INDEX transactions_msgid;
	ALTER TABLE mailboxes DROP COLUMN state_by; ALTER TABLE users DROP COLUMN customer; ALTER TABLE users DROP COLUMN disabled_by;
	ALTER TABLE domains DROP COLUMN customer;
	ALTER TABLE tiers DROP COLUMN recipients_per_minute; ALTER TABLE tiers DROP COLUMN recipients_per_day; ALTER TABLE tiers DROP COLUMN notices;
	ALTER TABLE mailboxes DROP COLUMN raised_quota; ALTER TABLE mailboxes DROP COLUMN raised_per_day; ALTER TABLE mailboxes DROP COLUMN raised_per_minute;
	ALTER TABLE mailboxes DROP COLUMN raised_recipients; ALTER TABLE mailboxes DROP COLUMN raised_message;
	ALTER TABLE mailboxes DROP COLUMN raised_recipients_per_minute; ALTER TABLE mailboxes DROP COLUMN raised_recipients_per_day;
	ALTER TABLE mailboxes DROP COLUMN redirect; ALTER TABLE mailboxes DROP COLUMN block_since;
	ALTER TABLE mailboxes DROP COLUMN block_by; ALTER TABLE mailboxes DROP COLUMN block_reason;
	ALTER TABLE mailboxes DROP COLUMN personal_seen;
	ALTER TABLE mailboxes DROP COLUMN file_sent;
	ALTER TABLE mailboxes DROP COLUMN file_receipts;
	ALTER TABLE bodies DROP COLUMN skip;
	ALTER TABLE folders DROP COLUMN recoverable;
	ALTER TABLE folders DROP COLUMN horizon;
	ALTER TABLE users DROP COLUMN deleted;
	PRAGMA user_version = 2;`

// damagedSum leaves a body without its sum, against the schema: whoever reads all
// bodies to check them finds it.
const damagedSum = `PRAGMA writable_schema = ON;
	UPDATE sqlite_schema SET sql = replace(sql, 'sum      BLOB NOT NULL', 'sum      BLOB') WHERE name = 'bodies';
	PRAGMA writable_schema = RESET;
	UPDATE bodies SET sum = NULL;
	PRAGMA writable_schema = ON;
	UPDATE sqlite_schema SET sql = replace(sql, 'sum      BLOB', 'sum      BLOB NOT NULL') WHERE name = 'bodies';
	PRAGMA writable_schema = RESET;`

// TestMigrateReadsNoBodies: the node starts with a new version in the time that it
// takes to change the schema, however many bodies there are.
func TestMigrateReadsNoBodies(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	in := inboxOf(t, s, "a@x.it")
	for _, text := range []string{"one", "two"} {
		b := &storage.NewBody{Head: []byte(text)}
		commit(t, s, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "pecd.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(backToVersion2 + damagedSum); err != nil {
		t.Fatal(err)
	}
	var nulls int
	if err := db.QueryRow("SELECT count(*) FROM bodies WHERE typeof(sum) = 'null'").Scan(&nulls); err != nil || nulls != 2 {
		t.Fatalf("%d damaged bodies, %v", nulls, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, Options{}) // fails where the bodies are read
	var skip int
	if err := s.read.db.QueryRow("SELECT sum(skip) FROM bodies").Scan(&skip); err != nil || skip != 0 {
		t.Fatalf("skip %d, %v", skip, err)
	}
	sp := s.NewSpool()
	defer sp.Close()
	if _, err := sp.Write([]byte("header, text")); err != nil {
		t.Fatal(err)
	}
	b := &storage.NewBody{Head: []byte("other header, "), Blob: &storage.NewBlob{Spool: sp, Len: sp.Size()}, Skip: 8}
	commit(t, s, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	body, err := s.OpenBody(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size())); string(got) != "other header, text" {
		t.Fatalf("body %q, %v", got, err)
	}
}

// TestSchemaNumbers: the number in a file's name is the version that it brings.
func TestSchemaNumbers(t *testing.T) {
	files, err := fs.Glob(schema, "schema/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range files {
		if want := fmt.Sprintf("schema/%04d_", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s is version %d", name, i+1)
		}
	}
}

// TestMigrateAddsSummaries: a store from before the summaries has none, and
// takes them.
func TestMigrateAddsSummaries(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, Options{})
	in := inboxOf(t, s, "a@x.it")
	b := &storage.NewBody{Head: []byte("x")}
	commit(t, s, b, &storage.Append{Folder: in.ID, Body: storage.BodyRef{New: b}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "pecd.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(backToVersion2); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s = openAt(t, dir, Options{})
	summary := func() (got string) {
		err := s.Summaries(t.Context(), in.ID, 1, 0, func(_ storage.Message, b []byte) error {
			got = fmt.Sprintf("%q", b)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := summary(); got != `""` {
		t.Fatalf("summary %s before there is one", got)
	}
	commit(t, s, &storage.PutSummary{Body: b.ID, Summary: []byte("s")})
	if got := summary(); got != `"s"` {
		t.Fatalf("summary %s", got)
	}
	wantClean(t, s)
}
