// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"embed"
	"fmt"
	"io/fs"

	"pecd/fault"
)

// schema holds the migrations: NNNN_what.sql brings version NNNN-1 to NNNN.
// A file that was released is never changed.
//
//go:embed schema/*.sql
var schema embed.FS

// applicationID marks the database file as ours ("pecd").
const applicationID = 0x70656364

// migrate brings the database to the newest schema, one transaction a version.
// For one that has no schema it asks fresh whether it may be a new one.
func migrate(e *engine, fresh func() error) error {
	const op = "sqlite.Open"
	files, err := fs.Glob(schema, "schema/*.sql") // sorted
	if err != nil {
		return err
	}
	var version, id int
	if err := e.row("PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if err := e.row("PRAGMA application_id").Scan(&id); err != nil {
		return err
	}
	if id != applicationID && (id != 0 || version != 0) {
		return fault.New(op, fault.Invalid, fmt.Errorf("pecd.db is not a database of pecd"))
	}
	if version > len(files) {
		return fault.New(op, fault.Unsupported, fmt.Errorf(
			"pecd.db has schema version %d, this program knows versions up to %d: start a newer pecd", version, len(files)))
	}
	if version == 0 {
		if err := fresh(); err != nil {
			return err
		}
	}
	for i := version; i < len(files); i++ {
		text, err := fs.ReadFile(schema, files[i])
		if err != nil {
			return err
		}
		if err := upgrade(e, string(text), i+1); err != nil {
			_, _ = e.exec("ROLLBACK") // fails where nothing was begun
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}

// upgrade applies one version in one transaction.
func upgrade(e *engine, text string, version int) error {
	script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;", text, applicationID, version)
	if err := e.script(script); err != nil {
		return err
	}
	if version == chainVersion {
		if err := chainOldRecords(e); err != nil {
			return err
		}
	}
	_, err := e.exec("COMMIT")
	return err
}

// chainVersion is the version that gave the log its chain.
const chainVersion = 2
