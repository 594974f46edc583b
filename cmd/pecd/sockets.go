// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Listening sockets that a node is handed at its start (sd_listen_fds(3)), by
// the service manager or by itself before a restart. Own code: the usual
// library takes what is wrong for absent, and a node that opens a second socket
// beside the one it was handed would not be noticed.
const (
	envListenPID   = "LISTEN_PID"
	envListenFDs   = "LISTEN_FDS"
	envListenNames = "LISTEN_FDNAMES"
	// envNumbers lists the descriptors where they are not 3, 4, 5 …: a program
	// that executes itself cannot put its sockets there, as the runtime's own
	// descriptors are there and in use until the end.
	envNumbers = "PECD_LISTEN_FDS"

	firstHanded = 3   // SD_LISTEN_FDS_START
	maxHanded   = 64  // far more than there are listeners
	firstKept   = 100 // kept sockets get numbers from here on, see sockets.keep
)

// sockets are the listening sockets of a node, by the listener's name in the
// configuration. A nil *sockets, of a node that nothing is handed to, opens
// every socket.
type sockets struct {
	handed map[string]net.Listener
	open   map[string]net.Listener // handed out by listen
}

// inheritedSockets takes over the sockets handed to this process.
func inheritedSockets() (*sockets, error) {
	s := &sockets{handed: make(map[string]net.Listener), open: make(map[string]net.Listener)}
	fds, err := handedDescriptors(os.Getenv, os.Getpid())
	for _, v := range listenVariables() {
		os.Unsetenv(v)
	}
	for name, fd := range fds {
		l, lerr := adopt(fd, name)
		if lerr != nil {
			err = errors.Join(err, fmt.Errorf("inherited socket %q: %w", name, lerr))
			continue
		}
		s.handed[name] = l
	}
	if err != nil {
		return nil, errors.Join(err, s.closeHanded())
	}
	return s, nil
}

func listenVariables() []string {
	return []string{envListenPID, envListenFDs, envListenNames, envNumbers}
}

// handedDescriptors reads the protocol's variables. Variables meant for another
// process are none.
func handedDescriptors(getenv func(string) string, pid int) (map[string]int, error) {
	if getenv(envListenPID) != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(getenv(envListenFDs))
	if err != nil || n < 0 || n > maxHanded {
		return nil, fmt.Errorf("%s=%q: not a number of sockets", envListenFDs, getenv(envListenFDs))
	}
	if n == 0 {
		return nil, nil
	}
	names := strings.Split(getenv(envListenNames), ":")
	if len(names) != n {
		return nil, fmt.Errorf("%s=%q: not the names of %d sockets (FileDescriptorName=)", envListenNames, getenv(envListenNames), n)
	}
	var numbers []string
	if v := getenv(envNumbers); v != "" {
		if numbers = strings.Split(v, ":"); len(numbers) != n {
			return nil, fmt.Errorf("%s=%q: not the numbers of %d sockets", envNumbers, v, n)
		}
	}
	fds := make(map[string]int, n)
	for i, name := range names {
		if _, twice := fds[name]; twice || name == "" {
			return nil, fmt.Errorf("%s=%q: %q does not name one socket", envListenNames, getenv(envListenNames), name)
		}
		fds[name] = firstHanded + i
		if numbers != nil {
			if fds[name], err = strconv.Atoi(numbers[i]); err != nil || fds[name] < firstHanded {
				return nil, fmt.Errorf("%s: %q is no descriptor", envNumbers, numbers[i])
			}
		}
	}
	return fds, nil
}

// adopt makes a listener of a descriptor, which it closes. A descriptor that is
// no listening socket is left alone: it may be the runtime's.
func adopt(fd int, name string) (net.Listener, error) {
	listening, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 {
		return nil, errors.New("it does not listen")
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	return net.FileListener(f) // a duplicate that is closed on exec
}

// listen returns the socket of a listener: the one handed over under its name,
// which must have its address, or a new one.
func (s *sockets) listen(name, address string) (net.Listener, error) {
	if s == nil {
		return net.Listen("tcp", address)
	}
	l, ok := s.handed[name]
	if ok {
		if err := sameAddress(l.Addr(), address); err != nil {
			return nil, fmt.Errorf("inherited socket: %w", err)
		}
		delete(s.handed, name)
	} else {
		var err error
		if l, err = net.Listen("tcp", address); err != nil {
			return nil, err
		}
	}
	s.open[name] = l
	return l, nil
}

// sameAddress wants a socket to be bound to the configured host:port. All ways
// to write "every address" are one.
func sameAddress(bound net.Addr, configured string) error {
	have, ok := bound.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("%s is no TCP socket", bound.Network())
	}
	want, err := net.ResolveTCPAddr("tcp", configured)
	if err != nil {
		return err
	}
	everywhere := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	if have.Port != want.Port || !have.IP.Equal(want.IP) && !(everywhere(have.IP) && everywhere(want.IP)) {
		return fmt.Errorf("it is bound to %s, the configuration says %s", have, configured)
	}
	return nil
}

// settled is called when every listener has its socket: one that is left over
// would keep clients waiting for nobody.
func (s *sockets) settled() error {
	if s == nil || len(s.handed) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(s.handed))
	return errors.Join(fmt.Errorf("inherited sockets that no listener is configured for: %s", strings.Join(names, ", ")), s.closeHanded())
}

func (s *sockets) closeHanded() error {
	var err error
	for name, l := range s.handed {
		err = errors.Join(err, l.Close())
		delete(s.handed, name)
	}
	return err
}

// keptSocket is a duplicate of a listening socket. While it is open the kernel
// goes on completing connections, whether or not somebody accepts them.
type keptSocket struct {
	name string
	fd   int
}

// keep duplicates every open socket, or none. Closing the listeners leaves the
// duplicates open; they are closed on exec.
func (s *sockets) keep() (kept []keptSocket, err error) {
	for _, name := range slices.Sorted(maps.Keys(s.open)) {
		var fd int
		if fd, err = duplicate(s.open[name]); err != nil {
			release(kept)
			return nil, fmt.Errorf("socket %s: %w", name, err)
		}
		kept = append(kept, keptSocket{name, fd})
	}
	return kept, nil
}

// duplicate goes around os.File, which would make the shared socket blocking
// under the listener that still uses it.
func duplicate(l net.Listener) (fd int, err error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return 0, fmt.Errorf("%T has no descriptor", l)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	var errno syscall.Errno
	err = raw.Control(func(from uintptr) {
		var to uintptr
		to, _, errno = syscall.Syscall(syscall.SYS_FCNTL, from, syscall.F_DUPFD_CLOEXEC, firstKept)
		fd = int(to)
	})
	if errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	return fd, err
}

func release(kept []keptSocket) {
	for _, k := range kept {
		syscall.Close(k.fd)
	}
}
