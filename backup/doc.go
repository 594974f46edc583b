// SPDX-License-Identifier: EUPL-1.2

// Package backup copies a store that is in use, and puts it back (ADR 0012).
//
// A folder of copies holds one folder for each instant, 20261125T184512.034Z:
//
//	manifest.json   what it is a copy of, and the sum of the next
//	SHA256SUMS      the sum of every other file, as sha256sum -c reads it
//	node/           public parts of the configuration
//	store/          pecd.db, blobs/, crl/, ledger/: a store's directory
//
// Such a folder is complete under its name or not there at all. Files that a
// copy has in common with the one before are one file with two names: each
// folder stands for itself, and may be removed like any other.
package backup

import (
	"time"

	"pecd/fault"
)

const (
	manifestName = "manifest.json"
	sumsName     = "SHA256SUMS"
	storeDir     = "store"
	nodeDir      = "node"
	ledgerDir    = "ledger"
	blobsDir     = "blobs"
	crlDir       = "crl"
	databaseName = "pecd.db"
	// partial is what the name of a copy begins with that is being made.
	partial  = ".partial-"
	lockName = ".lock"
)

// instantForm is the name of a copy, in UTC.
const instantForm = "20060102T150405.000Z"

// Point is one copy: a state that a store can be put back to.
type Point struct {
	Dir string
	Manifest
}

// temporary classes a failure of the file system.
func temporary(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*fault.Error); ok {
		return err
	}
	return fault.New(op, fault.Temporary, err)
}

// name is the folder's name for an instant.
func name(at time.Time) string { return at.UTC().Format(instantForm) }
