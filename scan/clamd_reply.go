// SPDX-License-Identifier: EUPL-1.2

package scan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxReply bounds the octets of an answer. Names of signatures have some 60.
const maxReply = 4 << 10

var (
	errNoReply  = errors.New("clamd ended the connection without an answer")
	errCut      = errors.New("clamd's answer is cut short")
	errLong     = errors.New("clamd's answer is too long")
	errGarbage  = errors.New("clamd's answer is not understood")
	errEarly    = errors.New("clamd answered before the end of the message")
	errRefused  = errors.New("clamd could not scan the message")
	errTooLarge = fmt.Errorf("%w: it is longer than StreamMaxLength in clamd.conf allows", errRefused)
)

// readReply reads one answer, which ends with NUL as the command did.
func readReply(r io.Reader) (string, error) {
	buf := make([]byte, maxReply+1)
	n := 0
	for {
		k, err := r.Read(buf[n:])
		n += k
		switch end := bytes.IndexByte(buf[:n], 0); {
		case end >= 0 && end != n-1:
			return "", fmt.Errorf("%w: %q", errGarbage, printable(string(buf[:n])))
		case end >= 0:
			return string(buf[:end]), nil
		case n > maxReply:
			return "", errLong
		case err == io.EOF && n == 0:
			return "", errNoReply
		case err != nil && n == 0:
			return "", fmt.Errorf("%w: %w", errNoReply, bare(err))
		case err != nil:
			return "", fmt.Errorf("%w: %q", errCut, printable(string(buf[:n])))
		}
	}
}

// parseReply reads the verdict on a stream: "stream: OK", "stream: NAME FOUND",
// or "TEXT ERROR". Everything else is an error: it is not taken for clean.
func parseReply(text string) (Finding, error) {
	verdict, ok := strings.CutPrefix(text, "stream: ")
	switch {
	case ok && verdict == "OK":
		return Finding{}, nil
	case ok && strings.HasSuffix(verdict, " FOUND"):
		if name := strings.TrimSuffix(verdict, " FOUND"); printable(name) != "" {
			return Found(name), nil
		}
	case strings.HasPrefix(text, "INSTREAM size limit exceeded"):
		return Finding{}, errTooLarge
	case strings.HasSuffix(text, "ERROR"):
		return Finding{}, fmt.Errorf("%w: %q", errRefused, printable(text))
	}
	return Finding{}, fmt.Errorf("%w: %q", errGarbage, printable(text))
}
