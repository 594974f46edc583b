// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maddyConf is the submission and the mailboxes of its sample configuration,
// without the sample's limit of 50 messages a second.
const maddyConf = `hostname mail.alfa.example
state_dir DIR/state
runtime_dir DIR/run
log off
tls file DIR/tls.pem DIR/tls.key
auth.pass_table local_authdb {
    table file DIR/users
}
storage.imapsql local_mailboxes {
    driver sqlite3
    dsn imapsql.db
}
submission tls://SMTPS {
    auth &local_authdb
    source alfa.example {
        destination alfa.example {
            deliver_to &local_mailboxes
        }
        default_destination {
            reject
        }
    }
    default_source {
        reject
    }
}
imap tls://IMAPS {
    auth &local_authdb
    storage &local_mailboxes
}
`

func startMaddy(ctx context.Context, b *bench, dir string) (*site, []*daemon, error) {
	s, err := b.peerSite(dir)
	if err != nil {
		return nil, nil, err
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(s.password), bcrypt.MinCost)
	if err != nil {
		return nil, nil, err
	}
	var users strings.Builder
	for _, u := range s.users() {
		fmt.Fprintf(&users, "%s: bcrypt:%s\n", u, hash)
	}
	if err := s.writeFiles(map[string]string{
		"maddy.conf": strings.NewReplacer("SMTPS", s.alfa.smtps, "IMAPS", s.alfa.imaps).Replace(maddyConf), "users": users.String(),
	}); err != nil {
		return nil, nil, err
	}
	maddy, err := lookProgram("maddy")
	if err != nil {
		return nil, nil, err
	}
	d, err := startDaemon(ctx, exec.Command(maddy, "-config", filepath.Join(dir, "maddy.conf"), "run"), s.greets(s.alfa.imaps))
	if err != nil {
		return nil, nil, err
	}
	d.forgiving = true
	if err := s.makeMaddyMailboxes(); err != nil {
		return nil, nil, errors.Join(err, d.stop())
	}
	return s, []*daemon{d}, nil
}

// makeMaddyMailboxes logs every recipient in once: that is what makes a mailbox.
func (s *site) makeMaddyMailboxes() error {
	for i := range structuredBoxes {
		c, err := dialIMAP(s.alfa.imaps, s.tls(), s.alfa.recipient(i), s.password)
		if err != nil {
			return err
		}
		c.close()
	}
	return nil
}
