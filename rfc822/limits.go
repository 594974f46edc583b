// SPDX-License-Identifier: EUPL-1.2

package rfc822

// Limits bounds what is kept of a message. A value of zero or less means the
// default of that limit.
type Limits struct {
	HeaderBytes      int // octets kept of one header block
	HeaderFields     int // fields kept of one header block
	Depth            int // levels of parts below the message itself
	Parts            int // parts of the whole tree
	TotalHeaderBytes int // octets kept of all header blocks together
}

const (
	defaultHeaderBytes      = 512 << 10
	defaultHeaderFields     = 2000
	defaultDepth            = 64
	defaultParts            = 10000
	defaultTotalHeaderBytes = 4 << 20

	// totalHeaderFields bounds the fields of all header blocks together; each
	// costs 12 octets beside its text.
	totalHeaderFields = 100_000

	// The parts next to the root are found even where an attached message has
	// used the limits up: the signature of an envelope comes after the original.
	shallowDepth       = 2
	shallowParts       = 64
	shallowHeaderBytes = 64 << 10
	shallowFields      = 1000
)

// DefaultLimits returns the limits pecd works with: 512 KiB and 2,000 fields a
// header, 64 levels, 10,000 parts, 4 MiB of headers in all.
func DefaultLimits() Limits {
	return Limits{
		HeaderBytes:      defaultHeaderBytes,
		HeaderFields:     defaultHeaderFields,
		Depth:            defaultDepth,
		Parts:            defaultParts,
		TotalHeaderBytes: defaultTotalHeaderBytes,
	}
}

func (l Limits) orDefault() Limits {
	set := func(v *int, def, top int) {
		if *v <= 0 {
			*v = def
		}
		if *v > top {
			*v = top
		}
	}
	const top = 1 << 30 // offsets inside a header are kept in 32 bits
	set(&l.HeaderBytes, defaultHeaderBytes, top)
	set(&l.HeaderFields, defaultHeaderFields, top)
	set(&l.Depth, defaultDepth, top)
	set(&l.Parts, defaultParts, top)
	set(&l.TotalHeaderBytes, defaultTotalHeaderBytes, top)
	return l
}
