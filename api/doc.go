// SPDX-License-Identifier: EUPL-1.2

// Package api is the HTTP interface for programs below /api/v1: the
// administration by the provider and by public bodies, and what applications ask
// of their mailbox. Its OpenAPI 3.1 document is made from the types of the
// handlers. The page on which people set a new password is here, too.
//
// An operation is for the roles that roles.go lists, and what a role must not
// see does not exist for it. Errors are problem details (RFC 9457), in Italian
// and then in English.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"pecd/clock"
	"pecd/directory"
	"pecd/guesses"
	"pecd/storage"
)

// Prefix is below which the interface is served.
const Prefix = "/api/v1"

// Bounds of a request.
const (
	maxBody     = 64 << 10 // octets
	bodyTime    = 10 * time.Second
	fileTime    = time.Minute // of a body that is a file
	requestTime = 30 * time.Second
)

// Store is what is read beside the directory.
type Store interface {
	Customers(ctx context.Context) ([]storage.Customer, error)
	Domains(ctx context.Context) ([]storage.Domain, error)
	Tiers(ctx context.Context) ([]storage.Tier, error)
	MailboxByID(ctx context.Context, id storage.MailboxID) (storage.Mailbox, error)
	MailboxesAfter(ctx context.Context, domain, after string, fn func(storage.Mailbox) error) error
	Grants(ctx context.Context, login string) ([]storage.Grant, error)
	Transaction(ctx context.Context, id string, own bool) (storage.Transaction, error)
	SentAs(ctx context.Context, sender, msgID string, limit int) ([]storage.Transaction, error)
	Jobs(ctx context.Context, kind string, fn func(storage.Job) error) error
}

// Guesses bounds how fast one client may try secrets; *guesses.Guard is one.
type Guesses interface {
	Allowed(ctx context.Context, t guesses.Try) bool
	Failed(ctx context.Context, t guesses.Try, exists bool)
}

// Config is what a server works with.
type Config struct {
	Directory *directory.Directory
	Store     Store
	Guesses   Guesses
	Limits    Limits
	Unblocked func(mailbox string) // is told of a mailbox that may send again; nil: nobody is
	// Protections are the rules about unwanted contents; nil: they are not served.
	Protections Protections
	// Contacts reaches users who forgot their password; nil: they ask their
	// administrator. With it, Run has to be called.
	Contacts Contacts
	Clock    clock.Clock
	Logger   *slog.Logger
	Provider string // name, for people
	// Site is where browsers reach this server, "https://host:port", for the links
	// on which a password is set.
	Site string
}

// Server serves the interface. It is an http.Handler.
type Server struct {
	Config
	mux      *http.ServeMux
	api      huma.API
	spec     document
	paces    *paces
	asked    *askers
	errands  chan errand // requests for a new password
	warnings chan string // logins whose password was set
	changing sync.Mutex  // a change with its precondition, on this node

	// importing is held by an import: thousands of passwords are derived one after the
	// other, so that logins have their turns between them.
	importing sync.Mutex

	refusalTime time.Duration // the constant, but in tests
}

// Serves reports whether a path is one of the interface's.
func (s *Server) Serves(path string) bool {
	return path == Prefix || strings.HasPrefix(path, Prefix+"/") || path == recoveryPath || strings.HasPrefix(path, recoveryPath+"/")
}

// New returns a server. The error is one of the program: a document that cannot
// be written.
func New(c Config) (*Server, error) {
	s := &Server{Config: c, mux: http.NewServeMux(), paces: newPaces(c.Clock), asked: newAskers(c.Clock), errands: make(chan errand, maxErrands), warnings: make(chan string, maxErrands), refusalTime: refusalTime}
	s.api = humago.NewWithPrefix(s.mux, Prefix, s.settings())
	s.api.UseMiddleware(s.authenticate)
	s.registerMe()
	s.registerBodies()
	s.registerImport()
	s.registerMailboxes()
	s.registerMailboxChanges()
	s.registerMailboxUsers()
	s.registerUsers()
	s.registerPrograms()
	s.registerTokens()
	s.registerMessages()
	s.registerLimits()
	s.registerFilters()
	if s.Protections != nil {
		s.registerProtections()
	}
	s.registerRecovery()
	if s.Contacts != nil {
		s.registerContacts()
		s.registerRecoveryRequest()
	}
	return s, s.serveDocument()
}
