// SPDX-License-Identifier: EUPL-1.2

// Command pecd is everything an Italian certified-mail (PEC) provider runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"pecd/clock"
)

// Exit codes of the command line (architecture §5). A key that refused its PIN
// has its own (EX_CONFIG of sysexits.h): whoever starts the node again by itself
// would use up the token's attempts. deploy/systemd/pecd.service knows the number.
const (
	exitDone       = 0
	exitFailed     = 1
	exitUsage      = 2
	exitKeyRefused = 78
)

// cli is the command line.
type cli struct {
	Demo       demoCmd       `cmd:"" help:"Two complete providers on this machine, with a first certified message. / Due gestori dimostrativi su questa macchina."`
	Serve      serveCmd      `cmd:"" help:"Run a node. / Avvia un nodo."`
	Verify     verifyCmd     `cmd:"" help:"Read every message back and check the store's promises. / Verifica l'archivio."`
	Unwrap     unwrapCmd     `cmd:"" help:"Say what a PEC message is and take the original out. / Apre un messaggio di posta certificata."`
	Status     statusCmd     `cmd:"" help:"What a node is at and what needs a person. / Stato e allarmi del nodo."`
	Backup     backupCmd     `cmd:"" help:"Copy the store while the node runs. / Copia l'archivio mentre il nodo lavora."`
	Restore    restoreCmd    `cmd:"" help:"Put a store back from a copy. / Ripristina un archivio da una copia."`
	Queue      queueCmd      `cmd:"" help:"What waits to be delivered. / La coda."`
	Ledger     ledgerCmd     `cmd:"" help:"The PEC log: prove, search, extract. / Il log dei messaggi PEC."`
	Quarantine quarantineCmd `cmd:"" help:"Infected messages that are kept. / Messaggi con virus."`
	Index      indexCmd      `cmd:"" help:"The providers' index. / Indice dei gestori."`
	Mailbox    mailboxCmd    `cmd:"" help:"Mailboxes. / Caselle."`
	User       userCmd       `cmd:"" help:"Users and their application passwords. / Utenti e password per applicazioni."`
	Guesses    guessesCmd    `cmd:"" help:"Who has to wait after too many wrong passwords. / Tentativi di accesso."`
	Protection protectionCmd `cmd:"" help:"Spam and dangerous contents. / Protezione delle caselle."`
	Filter     filterCmd     `cmd:"" help:"Filters of mailboxes (Sieve). / Filtri delle caselle."`
	Contact    contactCmd    `cmd:"" help:"Where users are reached outside certified mail. / Contatti degli utenti fuori dalla PEC."`
	Notice     noticeCmd     `cmd:"" help:"Who is told of what arrives. / Avvisi di arrivo."`
	Domain     domainCmd     `cmd:"" help:"Domains. / Domini."`
	Token      tokenCmd      `cmd:"" help:"Tokens of the HTTP interface. / Token dell'interfaccia HTTP."`
	Body       bodyCmd       `cmd:"" help:"Public bodies. / Enti."`
	Tier       tierCmd       `cmd:"" help:"Tiers and their figures. / Tipologie di casella."`
	Config     configCmd     `cmd:"" help:"Configuration. / Configurazione."`
}

// env is what commands take from the outside.
type env struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	clock  clock.Clock
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := exitDone
	parser, err := kong.New(&cli{}, kong.Name("pecd"), kong.Writers(stdout, stderr),
		kong.Description("Posta elettronica certificata: punto di accesso, di ricezione e di consegna, archivio, IMAP, POP3."),
		kong.Exit(func(c int) { code = c }), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(stderr, "pecd:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	cmd, err := parser.Parse(args)
	for _, a := range args {
		if a == "--help" || a == "-h" {
			return code
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "pecd:", err)
		return exitUsage
	}
	if err := cmd.Run(&env{ctx: ctx, stdout: stdout, stderr: stderr, clock: clock.System{}}); err != nil {
		if !errors.Is(err, errProblems) {
			fmt.Fprintln(stderr, "pecd:", err)
		}
		if errors.Is(err, errKeyRefused) {
			return exitKeyRefused
		}
		return exitFailed
	}
	return exitDone
}

type configCmd struct {
	Reference referenceCmd `cmd:"" help:"Print the commented configuration file."`
	Check     checkCmd     `cmd:"" help:"Read a configuration and all that it names, without touching the store. / Controlla la configurazione."`
}

type referenceCmd struct{}

// Run prints the reference.
func (referenceCmd) Run(e *env) error { return writeReference(e.stdout) }

type checkCmd struct {
	Config string `required:"" type:"path" placeholder:"FILE" help:"Configuration file."`
}

// Run reads keys, certificates, trust and index as a node does at its start.
func (c *checkCmd) Run(e *env) error {
	cfg, err := readConfig(c.Config)
	if err != nil {
		return err
	}
	log, err := newLogger(e.stderr, cfg.Log)
	if err != nil {
		return err
	}
	n := newNode(cfg, e.clock, log)
	if err := errors.Join(n.prepare(e.ctx), n.close()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "configurazione valida / configuration valid")
	return err
}

// newLogger returns the operating log of a node.
func newLogger(w io.Writer, c LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "text":
		return slog.New(slog.NewTextHandler(w, opts)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts)), nil
	}
	return nil, fmt.Errorf("log.format: %q is neither text nor json", c.Format)
}
