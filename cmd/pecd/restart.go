// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// errRestart is why a node's context ends where it is to go on as a new program.
var errRestart = errors.New("restart in place")

// restart carries a node over into a new program in the same process (ADR 0009
// #3): SIGUSR2 ends the node, but its listening sockets stay open across exec,
// so that whoever connects meanwhile waits in the kernel instead of being
// refused. The process keeps its number, which a service manager knows it by.
type restart struct {
	program string // to execute, absolute
	config  string
	listen  ListenConfig // in use
	sockets *sockets
	log     *slog.Logger

	asked chan os.Signal
	wg    sync.WaitGroup
	end   context.CancelCauseFunc // of the node
	ready bool                    // prepare succeeded
	kept  []keptSocket
}

// newRestart returns ctx for the node to run under. It ends with parent, or
// with the cause errRestart.
func newRestart(parent context.Context, config string, n *node) (r *restart, ctx context.Context, err error) {
	r = &restart{config: config, listen: n.cfg.Listen, sockets: n.sockets, log: n.log, asked: make(chan os.Signal, 1)}
	if r.program, err = ownProgram(); err != nil {
		return nil, nil, err
	}
	ctx, r.end = context.WithCancelCause(parent)
	return r, ctx, nil
}

// ownProgram names the program as it was called, so that a new version put in
// its place, or a link set to it, is what a restart runs.
func ownProgram() (string, error) {
	running, err := os.Executable()
	if err != nil {
		return "", err
	}
	called, err := exec.LookPath(os.Args[0])
	if err != nil {
		return running, nil
	}
	a, err := os.Stat(running)
	if err != nil {
		return "", err
	}
	if b, err := os.Stat(called); err != nil || !os.SameFile(a, b) {
		return running, nil // called by a name that is not its own
	}
	return filepath.Abs(called)
}

// watch begins to heed SIGUSR2: the node is up.
func (r *restart) watch(ctx context.Context) {
	signal.Notify(r.asked, syscall.SIGUSR2)
	r.wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.asked:
			}
			if err := r.prepare(); err != nil {
				r.log.Error("not restarted, serving on", "error", err)
				continue
			}
			r.log.Info("restarting in place", "program", r.program)
			r.end(errRestart)
			return
		}
	})
}

// prepare does everything that may fail while the node still serves.
func (r *restart) prepare() error {
	cfg, err := readConfig(r.config)
	if err != nil {
		return err
	}
	if cfg.Listen != r.listen {
		// An address that cannot be bound would be found when nobody serves.
		return errors.New("[listen] was changed: stop and start the node")
	}
	if err := r.tryProgram(); err != nil {
		return err
	}
	r.kept, err = r.sockets.keep()
	r.ready = err == nil
	return err
}

// checkTime is how long the new program may take to read its configuration.
const checkTime = 30 * time.Second

// tryProgram has the program that is to take over read keys, trust, index and
// certificates: what is wrong with them must show while the node still serves.
func (r *restart) tryProgram() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.program, "config", "check", "--config", r.config).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s config check: %w: %.1000s", r.program, err, bytes.TrimSpace(out))
	}
	return nil
}

// finish is called when the node has ended with err: it executes the program
// anew where that was asked for, and does not return then.
func (r *restart) finish(parent context.Context, err error) error {
	r.end(nil)
	r.wg.Wait()
	// From here on SIGTERM ends the process at once, and another SIGUSR2 does
	// nothing, also in the moment before the new program heeds signals.
	signal.Ignore(syscall.SIGUSR2)
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	if !r.ready || parent.Err() != nil {
		return err
	}
	if err != nil {
		r.log.Error("the node did not end well", "error", err)
	}
	for _, k := range r.kept {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(k.fd), syscall.F_SETFD, 0); errno != 0 {
			return os.NewSyscallError("fcntl", errno)
		}
	}
	err = syscall.Exec(r.program, os.Args, environment(os.Environ(), os.Getpid(), r.kept))
	return fmt.Errorf("riavvio / restart: exec %s: %w", r.program, err)
}

// environment is base with the variables that hand kept over to process pid.
func environment(base []string, pid int, kept []keptSocket) []string {
	env := slices.DeleteFunc(slices.Clone(base), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(listenVariables(), name)
	})
	names, numbers := make([]string, len(kept)), make([]string, len(kept))
	for i, k := range kept {
		names[i], numbers[i] = k.name, strconv.Itoa(k.fd)
	}
	return append(env,
		envListenPID+"="+strconv.Itoa(pid), envListenFDs+"="+strconv.Itoa(len(kept)),
		envListenNames+"="+strings.Join(names, ":"), envNumbers+"="+strings.Join(numbers, ":"))
}
