// SPDX-License-Identifier: EUPL-1.2

package seal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"pecd/fault"
	"pecd/ledger"
	"pecd/storage"
)

// closeDay writes, signs and records the file of one day. A file that a crash
// left without its row is written again under the same name: the row alone says
// that a day is closed.
func (d *Daybook) closeDay(ctx context.Context, before storage.Seal, day time.Time, end cut) (storage.Seal, error) {
	const op = "seal.closeDay"
	s := storage.Seal{
		Number: before.Number + 1, Day: day.Format(time.DateOnly), First: before.Last + 1, Last: end.seq,
		Before: before.Head, Head: end.hash, At: d.cfg.Clock.Now(),
	}
	s.File = sealedName(s.Number, s.Day)
	if err := d.refuseStamped(s.File); err != nil {
		return s, err
	}
	content, discard, err := scratch(d.cfg.Dir, s.File[:len(s.File)-len(sealedSuffix)]+contentSuffix)
	if err != nil {
		return s, fault.New(op, fault.Temporary, err)
	}
	defer discard()
	broken, err := writeDay(ctx, d.cfg.Store, s, headerOf(s, before, d.cfg.Provider, d.cfg.Zone.String()), content)
	if err == nil {
		err = content.Sync()
	}
	if err != nil {
		return s, fault.New(op, fault.Temporary, err)
	}
	if broken > 0 {
		d.broken(fmt.Sprintf(
			"log PEC alterato: la catena si interrompe alla registrazione %d (%s) / PEC log altered: the chain breaks at record %d", broken, s.Day, broken))
	}
	if s.Sum, err = d.sign(ctx, s, content); err != nil {
		return s, fault.Wrap(op, err)
	}
	// What tells of the seal comes after it: it belongs to a later day.
	step := new(storage.Step).Add(&storage.PutSeal{Seal: s}, event(ledger.Event{
		At: s.At, Kind: ledger.LedgerSealed, Provider: d.cfg.Provider, Detail: sealedDetail(s),
	}))
	if err := d.cfg.Store.Commit(ctx, step); err != nil {
		return s, fault.Wrap(op, err)
	}
	d.cfg.Logger.Info("day of the log sealed", "number", s.Number, "day", s.Day, "records", s.Last-s.First+1)
	return s, nil
}

// refuseStamped fails where a time stamp lies beside the name of a seal that is
// to be made. Stamps are had for recorded seals only: the store is older than
// its files, and what they prove must not be written over.
func (d *Daybook) refuseStamped(file string) error {
	stamp := StampName(file)
	there, err := exists(filepath.Join(d.cfg.Dir, stamp))
	if err != nil {
		return fault.New("seal.closeDay", fault.Temporary, err)
	}
	if !there {
		return nil
	}
	text := fmt.Sprintf("%s: marca temporale di un sigillo che l'archivio non conosce: archivio più vecchio dei suoi file? / "+
		"time stamp of a seal that the store does not know: is the store older than its files?", stamp)
	d.broken(text)
	return fault.Say("seal.closeDay", fault.Conflict, text)
}

// sign writes the sealed file and returns its SHA-256.
func (d *Daybook) sign(ctx context.Context, s storage.Seal, content io.ReadSeeker) (sum [32]byte, err error) {
	size, err := content.Seek(0, io.SeekEnd)
	if err != nil {
		return sum, fault.New("seal.sign", fault.Temporary, err)
	}
	h := sha256.New()
	err = put(d.cfg.Dir, s.File, func(w io.Writer) error {
		return d.cfg.Signer.SignOpaque(ctx, io.MultiWriter(w, h), content, size, s.At)
	})
	if err != nil {
		return sum, temporary("seal.sign", err)
	}
	return [32]byte(h.Sum(nil)), nil
}

// temporary gives a kind to an error that has none: of the file system, all of
// whose failures may pass.
func temporary(op string, err error) error {
	if fault.KindOf(err) != fault.Internal {
		return fault.Wrap(op, err)
	}
	return fault.New(op, fault.Temporary, err)
}
