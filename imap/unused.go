// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	imaplib "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// The methods of this file complete imapserver.Session. They never run: the
// filter keeps their commands (see own).

var errUnknown = bad("comando sconosciuto / unknown command")

// Select implements imapserver.Session.
func (s *session) Select(string, *imaplib.SelectOptions) (*imaplib.SelectData, error) {
	return nil, errUnknown
}

// Create implements imapserver.Session.
func (s *session) Create(string, *imaplib.CreateOptions) error { return errUnknown }

// Delete implements imapserver.Session.
func (s *session) Delete(string) error { return errUnknown }

// Rename implements imapserver.Session.
func (s *session) Rename(string, string, *imaplib.RenameOptions) error { return errUnknown }

// Subscribe implements imapserver.Session.
func (s *session) Subscribe(string) error { return errUnknown }

// Unsubscribe implements imapserver.Session.
func (s *session) Unsubscribe(string) error { return errUnknown }

// List implements imapserver.Session.
func (s *session) List(*imapserver.ListWriter, string, []string, *imaplib.ListOptions) error {
	return errUnknown
}

// Status implements imapserver.Session.
func (s *session) Status(string, *imaplib.StatusOptions) (*imaplib.StatusData, error) {
	return nil, errUnknown
}

// Idle implements imapserver.Session.
func (s *session) Idle(*imapserver.UpdateWriter, <-chan struct{}) error { return errUnknown }

// Unselect implements imapserver.Session.
func (s *session) Unselect() error { return errUnknown }

// Expunge implements imapserver.Session.
func (s *session) Expunge(*imapserver.ExpungeWriter, *imaplib.UIDSet) error { return errUnknown }

// Search implements imapserver.Session.
func (s *session) Search(imapserver.NumKind, *imaplib.SearchCriteria, *imaplib.SearchOptions) (*imaplib.SearchData, error) {
	return nil, errUnknown
}

// Fetch implements imapserver.Session.
func (s *session) Fetch(*imapserver.FetchWriter, imaplib.NumSet, *imaplib.FetchOptions) error {
	return errUnknown
}

// Store implements imapserver.Session.
func (s *session) Store(*imapserver.FetchWriter, imaplib.NumSet, *imaplib.StoreFlags, *imaplib.StoreOptions) error {
	return errUnknown
}

// Copy implements imapserver.Session.
func (s *session) Copy(imaplib.NumSet, string) (*imaplib.CopyData, error) { return nil, errUnknown }

// Sort implements imapserver.Session.
func (s *session) Sort(imapserver.NumKind, []imaplib.SortCriterion, string, *imaplib.SearchCriteria, *imaplib.SortOptions) (*imaplib.SortData, error) {
	return nil, errUnknown
}
