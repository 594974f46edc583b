// SPDX-License-Identifier: EUPL-1.2

package contents

import (
	"bytes"
	"io"
)

// objectWords are the control words of RTF (1.9.1, "Objects") that bring an
// embedded or linked object.
func objectWords() [][]byte {
	return [][]byte{
		[]byte(`\objdata`), []byte(`\objemb`), []byte(`\objupdate`), []byte(`\objocx`), []byte(`\objlink`), []byte(`\objautlink`), []byte(`\objhtml`),
	}
}

// richText looks for objects in RTF: any program can be one, and several faults of
// Word were reached by them.
func (s *Inspection) richText(in io.Reader, where string) error {
	const overlap = 16
	words := objectWords()
	buf := make([]byte, overlap+32<<10)
	kept := 0
	for {
		n, err := in.Read(buf[kept:])
		text := bytes.ToLower(buf[:kept+n])
		for _, w := range words {
			if bytes.Contains(text, w) {
				s.macro("Rtf.Object", where)
				return nil
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return s.settle(err, "Contents.Unreadable", where)
		}
		kept = copy(buf, buf[max(0, kept+n-overlap):kept+n])
	}
}
