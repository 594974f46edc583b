// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// format is the version of the day file; a reader refuses others.
const format = 1

// header is the first line of a day file.
type header struct {
	Format   int       `json:"format"`
	Provider string    `json:"provider"`
	Number   int64     `json:"number"`
	Day      string    `json:"day"`      // civil day in Zone
	First    int64     `json:"first"`    // the first record of the file
	Last     int64     `json:"last"`     // the last one; First-1 where there is none
	Before   Hash      `json:"before"`   // the hash that record First links to
	Head     Hash      `json:"head"`     // the hash of record Last; Before where there is none
	Previous *previous `json:"previous"` // the file of the day before; null in the first
	Zone     string    `json:"zone"`
}

// previous names the sealed file before.
type previous struct {
	File string `json:"file"`
	Sum  Hash   `json:"sha256"`
}

// headerOf is the header of the file of s.
func headerOf(s, before storage.Seal, provider, zone string) header {
	h := header{
		Format: format, Provider: provider, Number: s.Number, Day: s.Day, First: s.First, Last: s.Last,
		Before: s.Before, Head: s.Head, Zone: zone,
	}
	if before.Number > 0 {
		h.Previous = &previous{File: before.File, Sum: before.Sum}
	}
	return h
}

// encode returns the header as a line with its end.
func (h header) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(h)
	return b.Bytes(), err
}

var errHeader = fault.Say("seal.read", fault.Invalid, "intestazione illeggibile / unreadable header")

// parseHeader reads the first line of a day file.
func parseHeader(b []byte) (header, error) {
	var h header
	if err := json.Unmarshal(b, &h); err != nil {
		return header{}, errHeader
	}
	if h.Format != format {
		return header{}, fault.Say("seal.read", fault.Unsupported, fmt.Sprintf("formato %d sconosciuto / unknown format", h.Format))
	}
	return h, nil
}

// Names of the files of a seal. They are never changed: an inspector's notes,
// and the headers of later files, speak of them.
const (
	contentSuffix = ".log"
	sealedSuffix  = ".log.p7m" // CMS SignedData with the day file inside
	stampSuffix   = ".log.tsr" // RFC 3161 TimeStampResp over the .p7m
	tempPrefix    = ".tmp-"    // of a file that is being written
)

func sealedName(number int64, day string) string {
	return fmt.Sprintf("%06d-%s%s", number, day, sealedSuffix)
}

// StampName is the name of the time stamp beside a sealed file.
func StampName(sealed string) string {
	return sealed[:len(sealed)-len(sealedSuffix)] + stampSuffix
}

var namePattern = regexp.MustCompile(`^([0-9]{6,18})-([0-9]{4}-[0-9]{2}-[0-9]{2})\.log\.(p7m|tsr)$`)

// parseName takes the name of a sealed file or of its time stamp apart.
func parseName(name string) (number int64, day string, stamp, ok bool) {
	m := namePattern.FindStringSubmatch(name)
	if m == nil {
		return 0, "", false, false
	}
	number, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || sealedName(number, m[2]) != m[1]+"-"+m[2]+sealedSuffix {
		return 0, "", false, false
	}
	return number, m[2], m[3] == "tsr", true
}

// errStop ends an iteration that has what it wants.
var errStop = errors.New("stop")

// writeDay writes the day file of s as a stream. It returns the number of the
// first record whose link does not hold, 0 without any: such a record is sealed
// as it was found, because what was found must be kept, too.
func writeDay(ctx context.Context, log storage.Log, s storage.Seal, h header, w io.Writer) (broken int64, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	head, err := h.encode()
	if err != nil {
		return 0, err
	}
	if _, err := out.Write(head); err != nil {
		return 0, err
	}
	at, before := s.First, s.Before
	var buf []byte
	err = log.Records(ctx, s.First, func(r storage.Record) error {
		if r.Seq > s.Last {
			return errStop
		}
		if broken == 0 && (r.Seq != at || ledger.Link(before, r.Seq, r.Data) != r.Hash) {
			broken = r.Seq
		}
		at, before = r.Seq+1, r.Hash
		buf = appendLine(buf[:0], r)
		_, err := out.Write(buf)
		return err
	})
	if err != nil && !errors.Is(err, errStop) {
		return broken, err
	}
	return broken, out.Flush()
}
