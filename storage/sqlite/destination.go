// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"math"

	"pecd/fault"
	"pecd/storage"
)

// intoFolder checks what an Append says of its folder beyond its name. The
// result is nil where it is named, or given by its identifier.
func intoFolder(op string, a *storage.Append) (*storage.Destination, error) {
	switch {
	case a.Sent != nil && a.Sent.MessageID == "":
		return nil, invalid(op, "copy of a submission without a Message-ID")
	case a.Sent != nil && a.Into == nil && a.Folder == 0:
		return nil, invalid(op, "copy of a submission for a folder given by name")
	case a.Optional && a.Mailbox == 0:
		return nil, invalid(op, "optional message for no mailbox")
	case a.Into == nil:
		return nil, nil
	}
	name, err := folderName(op, a.Into.Name)
	return &storage.Destination{Use: a.Into.Use, Name: name}, err
}

// destination is the folder of a storage.Destination whose name is in canonical
// form.
func (r *run) destination(op string, box storage.MailboxID, d storage.Destination) (storage.FolderID, error) {
	var id storage.FolderID
	if d.Use != "" {
		err := r.row("SELECT id FROM folders WHERE mailbox = ? AND special_use = ? AND NOT recoverable AND uidnext < ? ORDER BY id LIMIT 1",
			box, d.Use, math.MaxUint32).Scan(&id)
		if !noRows(err) {
			return id, err
		}
	}
	f, err := r.named(op, box, d.Name)
	switch {
	case fault.Is(err, fault.NotFound):
		f, err = r.makeDestination(op, box, d)
		if fault.Is(err, fault.TooMany) {
			return r.inboxOf(op, box)
		}
		return f.ID, err
	case err != nil:
		return 0, err
	case f.Recoverable || f.UIDNext == math.MaxUint32:
		return r.inboxOf(op, box)
	case d.Use != "" && f.SpecialUse == "":
		_, err = r.exec("UPDATE folders SET special_use = ? WHERE id = ?", d.Use, f.ID)
	}
	return f.ID, err
}

func (r *run) inboxOf(op string, box storage.MailboxID) (storage.FolderID, error) {
	f, err := r.named(op, box, inbox)
	return f.ID, err
}

// makeDestination creates a folder and what is missing above it, subscribed: a
// client that lists what is subscribed must find the way to it.
func (r *run) makeDestination(op string, box storage.MailboxID, d storage.Destination) (storage.Folder, error) {
	for _, p := range parents(d.Name) {
		_, err := r.named(op, box, p)
		if fault.Is(err, fault.NotFound) {
			_, err = r.makeFolder(op, storage.Folder{Mailbox: box, Name: p, Subscribed: true})
		}
		if err != nil {
			return storage.Folder{}, err
		}
	}
	return r.makeFolder(op, storage.Folder{Mailbox: box, Name: d.Name, SpecialUse: d.Use, Subscribed: true})
}
