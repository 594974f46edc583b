// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"pecd/fault"
)

// The log's format: sqlite.org/fileformat2.html#walformat.
const (
	logHeader   = 32
	frameHeader = 24
	maxPage     = 64 << 10
)

// refuseBrokenLog fails with fault.Conflict where the log is damaged before its
// end. The engine stops at the first frame that is not valid, as after a torn
// write, and would go on without what follows. But only the last commit can be
// torn: each is synced before the next begins. Two commits that are whole beyond
// a frame that is not are commits that were acknowledged.
func refuseBrokenLog(path string) error {
	const op = "sqlite.Open"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return ioFailed(op, err)
	}
	defer f.Close()
	at, ok, err := brokenAt(bufio.NewReaderSize(f, renewChunk))
	if err != nil || ok {
		return ioFailed(op, err)
	}
	return fault.Say(op, fault.Conflict, fmt.Sprintf(
		"%[1]s: registro danneggiato all'ottetto %[2]d, seguito da scritture confermate: ripristinare una copia, oppure, per proseguire senza di esse, truncate -s %[2]d %[3]s / "+
			"log damaged at octet %[2]d, before acknowledged changes: put a copy back, or, to go on without them, truncate -s %[2]d %[3]s",
		path, at, filepath.Base(path)))
}

// brokenAt returns where the first frame begins that is not valid, where two
// commits or more that belong together follow it; otherwise ok is true. It is 0
// where the header is not valid: that is one sector, which cannot be torn.
func brokenAt(r io.Reader) (at int64, ok bool, err error) {
	head := make([]byte, logHeader)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, true, atEnd(err)
	}
	page, order := binary.BigEndian.Uint32(head[8:]), binary.ByteOrder(binary.LittleEndian)
	if page < 512 || page > maxPage || page&(page-1) != 0 {
		page = pageSize
	}
	if binary.BigEndian.Uint32(head)&1 == 1 {
		order = binary.BigEndian
	}
	sum := logSum{order: order}
	sum.add(head[:24])
	salt, broken := head[16:24], int64(-1)
	if !sum.is(head[24:]) {
		salt, broken = nil, 0
	}
	frame := make([]byte, frameHeader+int(page))
	commits := 0 // since then, each frame continuing the one before
	for off := int64(logHeader); ; off += int64(len(frame)) {
		if _, err := io.ReadFull(r, frame); err != nil {
			return 0, true, atEnd(err)
		}
		if salt == nil {
			salt = append(salt, frame[8:16]...)
		}
		sum.add(frame[:8])
		sum.add(frame[frameHeader:])
		valid := string(frame[8:16]) == string(salt) && sum.is(frame[16:24])
		switch {
		case !valid && broken < 0:
			broken = off
		case !valid:
			commits = 0
		case broken >= 0 && binary.BigEndian.Uint32(frame[4:]) > 0:
			if commits++; commits == 2 {
				return broken, false, nil
			}
		}
		sum.set(frame[16:24])
	}
}

// atEnd tells the end of the log from a failure to read it.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// logSum is the checksum of the log, which runs on from frame to frame.
type logSum struct {
	order  binary.ByteOrder // of the words that are added
	s0, s1 uint32
}

func (s *logSum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s.s0 += s.order.Uint32(b) + s.s1
		s.s1 += s.order.Uint32(b[4:]) + s.s0
	}
}

func (s *logSum) is(b []byte) bool {
	return s.s0 == binary.BigEndian.Uint32(b) && s.s1 == binary.BigEndian.Uint32(b[4:])
}

func (s *logSum) set(b []byte) {
	s.s0, s.s1 = binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
}
