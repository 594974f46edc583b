// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"pecd/directory"
)

const (
	// adminSocket is where a running node does operations for this machine's
	// operator: in the store's folder, which is the node's alone.
	adminSocket = "admin.sock"
	// maxOperation bounds the encoding of an operation.
	maxOperation = 1 << 20
	// outcomeTrailer says how an operation ended once its output is through:
	// "done", "problems" or "error: " and what.
	outcomeTrailer  = "Pecd-Outcome"
	outcomeDone     = "done"
	outcomeProblems = "problems"
	outcomeError    = "error: "
)

// listenAdmin opens the node's admin socket. The store is held by this process,
// so a socket that is there is left over from a crash.
func (n *node) listenAdmin() (net.Listener, error) {
	path, done, err := adminPath(n.cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// adminPath names the socket through an open descriptor of its folder: socket
// names are short, folders need not be.
func adminPath(cfg *Config) (path string, done func() error, err error) {
	dir, err := os.Open(cfg.path(cfg.Store.Dir))
	if err != nil {
		return "", nil, err
	}
	return filepath.Join(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()), adminSocket), dir.Close, nil
}

// newAdminServer serves the admin socket.
func (n *node) newAdminServer() *httpServer {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /do", n.serveOperation)
	s := newHTTPServer(mux)
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, peerKey{}, peerUser(c))
	}
	return s
}

// peerKey finds the user at the other end of the socket in a context.
type peerKey struct{}

// serveOperation does one operation and streams its output.
func (n *node) serveOperation(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("op")
	n.operating.Add(1)
	defer n.operating.Done()
	make, ok := operations()[name]
	if !ok {
		http.Error(w, "operazione sconosciuta / unknown operation: "+name, http.StatusNotFound)
		return
	}
	op := make()
	if err := json.NewDecoder(io.LimitReader(r.Body, maxOperation)).Decode(op); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	// Reading a large store takes its time.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil {
		n.log.Warn("admin: no deadline", "error", err)
	}
	w.Header().Set("Trailer", outcomeTrailer)
	w.WriteHeader(http.StatusOK)
	actor, _ := r.Context().Value(peerKey{}).(string)
	outcome := outcomeDone
	switch err := op.do(directory.As(r.Context(), actor), call{node: n, out: w, actor: actor}); {
	case errors.Is(err, errProblems):
		outcome = outcomeProblems
	case err != nil:
		outcome = outcomeError + err.Error()
		n.log.Error("operation failed", "operation", name, "actor", actor, "error", err)
	}
	w.Header().Set(outcomeTrailer, url.PathEscape(outcome)) // one line of ASCII, whatever the error says
}

// askNode has a running node do an operation. running is false where none answers.
func askNode(ctx context.Context, cfg *Config, w io.Writer, name string, op operation) (running bool, err error) {
	path, done, err := adminPath(cfg)
	if err != nil {
		return false, nil // no store there: opening it will say so
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return false, nil
	}
	defer conn.Close()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableKeepAlives: true,
	}}
	body, err := json.Marshal(op)
	if err != nil {
		return true, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://pecd/do?op="+url.QueryEscape(name), bytes.NewReader(body))
	if err != nil {
		return true, err
	}
	if err := exchange(client, req, w); err != nil && !errors.Is(err, errProblems) {
		return true, fmt.Errorf("il nodo in esecuzione / the running node: %w", err)
	} else if err != nil {
		return true, err
	}
	return true, nil
}

// exchange copies the output of an operation and returns how it ended.
func exchange(client *http.Client, req *http.Request, w io.Writer) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%s", bytes.TrimSpace(text))
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return err
	}
	outcome, err := url.PathUnescape(resp.Trailer.Get(outcomeTrailer))
	switch {
	case err != nil:
		return err
	case outcome == outcomeDone:
		return nil
	case outcome == outcomeProblems:
		return errProblems
	case outcome == "":
		return errors.New("interrotto prima della fine / cut off before its end")
	}
	return errors.New(strings.TrimPrefix(outcome, outcomeError))
}

// peerUser names the user at the other end of a Unix socket.
func peerUser(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return "unknown"
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return "unknown"
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || credErr != nil {
		return "unknown"
	}
	return userName(int(cred.Uid))
}

// processUser names the user this process runs as.
func processUser() string { return userName(os.Getuid()) }

func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}
