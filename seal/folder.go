// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"pecd/fault"
	"pecd/ledger"
)

// VerifyFolder reads a folder of sealed files alone, as an inspector has it: the
// signature and time stamp of each, its records' chain, and the links from file
// to file. All must be of one provider, which Summary.Provider names: whether it
// is the one in question is for the reader to say. The first file is taken as it
// is: what it links to is not there.
//
// It fails where a file cannot be read, and with the error of report.
func VerifyFolder(ctx context.Context, dir string, proof Proof, report func(Problem) error) (Summary, error) {
	const op = "seal.VerifyFolder"
	files, strays, err := sealedFiles(dir)
	if err != nil {
		return Summary{}, fault.New(op, fault.Temporary, err)
	}
	v := &folder{dir: dir, proof: proof, reporter: reporter{to: report}}
	v.sum.First = 1
	for _, name := range files {
		if err := v.file(ctx, name); err != nil {
			return v.sum, fault.Wrap(op, err)
		}
	}
	v.sum.SealedTo = v.sum.Last
	for _, name := range strays {
		if err := v.report(Problem{File: name, What: "marca temporale senza il suo file / time stamp without its file"}); err != nil {
			return v.sum, fault.Wrap(op, err)
		}
	}
	return v.sum, nil
}

// sealedFiles lists the sealed files of a folder by number, and the time stamps
// that have none.
func sealedFiles(dir string) (files, strays []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	there := make(map[string]bool, len(entries))
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, e := range entries {
		number, day, stamp, ok := parseName(e.Name())
		switch {
		case ok && !stamp:
			files = append(files, e.Name())
		case ok && !there[sealedName(number, day)]:
			strays = append(strays, e.Name())
		}
	}
	slices.SortStableFunc(files, func(a, b string) int {
		n, _, _, _ := parseName(a)
		m, _, _, _ := parseName(b)
		return cmp.Compare(n, m)
	})
	return files, strays, nil
}

// folder walks along the files of a folder.
type folder struct {
	reporter
	dir   string
	proof Proof

	number int64 // of the file before, by its name; 0: none was read
	signed bool  // its signature held: name, sum and header can be relied on
	name   string
	digest [32]byte
	header header
	chain  chain
}

func (v *folder) file(ctx context.Context, name string) error {
	number, day, _, _ := parseName(name)
	date, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return v.report(Problem{File: name, What: "nessun giorno del calendario / no day of the calendar"})
	}
	// The hours between midnight in Rome and in Greenwich do not matter here.
	f, err := v.proof.inspect(v.dir, name, "", date.AddDate(0, 0, 1))
	if err != nil {
		return err
	}
	defer f.close()
	v.sum.Seals++
	if f.stamp == nil {
		v.sum.Unstamped++
	}
	v.follow(number, f)
	if late := f.late(time.Time{}); late != "" {
		if err := v.report(Problem{Seal: number, File: name, What: late, Late: true}); err != nil {
			return err
		}
	}
	if f.signed {
		if err := v.records(ctx, f, name); err != nil {
			return err
		}
	}
	v.number, v.signed, v.name, v.digest, v.header = number, f.signed, name, f.sum, f.header
	if len(f.wrong) == 0 {
		return nil
	}
	return v.report(Problem{Seal: number, File: name, What: f.wrong.String()})
}

// follow compares a file with the one before it.
func (v *folder) follow(number int64, f *sealed) {
	h, b := f.header, v.header
	if v.number > 0 && number != v.number+1 {
		f.wrong.add("segue il numero %d / follows number %d", v.number, v.number)
	} else if v.number > 0 && v.signed && f.signed {
		if h.First != b.Last+1 || h.Before != b.Head {
			f.wrong.add("non continua il file precedente / does not continue the file before")
		}
		if !h.follows(v.name, v.digest) {
			f.wrong.add("il file precedente non è quello che nomina / the file before is not the one it names")
		}
	}
	if f.signed {
		if v.sum.Provider == "" {
			v.sum.Provider, v.sum.First = h.Provider, h.First
		}
		if plain(h.Provider) != plain(v.sum.Provider) {
			f.wrong.add("è di %q, i precedenti di %q / is another provider's than those before", h.Provider, v.sum.Provider)
		}
		v.chain.start(h.First-1, h.Before)
	}
}

// records follows the chain of one file.
func (v *folder) records(ctx context.Context, f *sealed, name string) error {
	last := cut{f.header.First - 1, f.header.Before}
	err := eachLine(f.lines, func(b []byte) error {
		l, err := parseLine(b)
		if err != nil {
			return err
		}
		if l.seq <= last.seq || l.seq > f.header.Last {
			return errLine
		}
		last = cut{l.seq, l.hash}
		if err := v.record(l, f.header.Number, name); err != nil {
			return err
		}
		return ctx.Err()
	})
	switch {
	case errors.Is(err, errLine):
		f.wrong.add("%s", why(err))
	case err != nil:
		return err
	case last != cut{f.header.Last, f.header.Head}:
		f.wrong.add("l'ultima registrazione è la %d, non quella dell'intestazione / the last record is not that of the header", last.seq)
	}
	v.sum.Last, v.sum.Head = f.header.Last, f.header.Head
	return nil
}

func (v *folder) record(l line, number int64, name string) error {
	v.sum.Records++
	var wrong reasons
	if l.seq != v.chain.seq+1 {
		wrong.add("mancano le registrazioni prima / the records before it are missing: %d-%d", v.chain.seq+1, l.seq-1)
		v.chain.skip(l.seq - 1)
	}
	if !v.chain.next(l.seq, l.hash, l.data) {
		wrong.add("la catena si interrompe: alterata questa o la precedente / the chain breaks: this one or the one before was altered")
	}
	if _, err := ledger.Decode(l.data); err != nil {
		wrong.add("contenuto illeggibile / unreadable contents")
	}
	if len(wrong) == 0 {
		return nil
	}
	p := Problem{Seq: l.seq, Seal: number, File: name, What: wrong.String()}
	p.event(l.data)
	return v.report(p)
}
