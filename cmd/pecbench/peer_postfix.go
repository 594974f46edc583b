// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// Settings differ from the defaults only where the load would meet a limit that
// is made against strangers, and in places and ports.
const (
	postfixMain = `compatibility_level = 3.6
queue_directory = DIR/queue
data_directory = DIR/data
myhostname = mail.alfa.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = loopback-only
virtual_mailbox_domains = alfa.example
virtual_mailbox_maps = texthash:DIR/mailboxes
virtual_transport = lmtp:unix:DIR/lmtp
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = DIR/auth
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = DIR/tls.pem
smtpd_tls_key_file = DIR/tls.key
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_client_connection_count_limit = 0
message_size_limit = 104857600
mailbox_size_limit = 0
virtual_mailbox_limit = 0
`
	postfixMaster = `PORT inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
`
	dovecotConf = `base_dir = DIR/run
state_dir = DIR/state
log_path = DIR/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = required
ssl_cert = <DIR/tls.pem
ssl_key = <DIR/tls.key
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 0
passdb {
  driver = passwd-file
  args = scheme=PLAIN username_format=%u DIR/users
}
userdb {
  driver = static
  args = uid=MAILUID gid=MAILGID home=DIR/mail/%u
}
service imap-login {
  service_count = 0
  client_limit = 1000
  process_min_avail = 2
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = PORT
    ssl = yes
  }
}
service lmtp {
  unix_listener DIR/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener DIR/auth {
    mode = 0666
  }
}
`
)

// startPostfixDovecot runs Postfix for submission and Dovecot behind its LMTP,
// both with the syncs of their defaults.
func startPostfixDovecot(ctx context.Context, b *bench, dir string) (*site, []*daemon, error) {
	s, err := b.peerSite(dir)
	if err != nil {
		return nil, nil, err
	}
	if err := s.writePostfixDovecot(); err != nil {
		return nil, nil, err
	}
	dovecot, err := lookProgram("dovecot")
	if err != nil {
		return nil, nil, err
	}
	postfix, err := lookProgram("postfix")
	if err != nil {
		return nil, nil, err
	}
	box, err := startDaemon(ctx, exec.Command(dovecot, "-F", "-c", filepath.Join(dir, "dovecot.conf")), s.greets(s.alfa.imaps))
	if err != nil {
		return nil, nil, fmt.Errorf("%w\n%s", err, fileTail(filepath.Join(dir, "dovecot.log")))
	}
	box.forgiving = true // a log server outlives it
	mta, err := startDaemon(ctx, exec.Command(postfix, "-c", filepath.Join(dir, "postfix"), "start-fg"), s.greets(s.alfa.smtps))
	if err != nil {
		return nil, nil, errors.Join(err, box.stop())
	}
	mta.forgiving = true // it ends by the signal
	// What was started is a script that waits for the server and does not hand
	// signals on.
	master, err := os.ReadFile(filepath.Join(dir, "queue/pid/master.pid"))
	if err == nil {
		mta.pid, err = strconv.Atoi(strings.TrimSpace(string(master)))
	}
	if err != nil {
		return nil, nil, errors.Join(err, mta.stop(), box.stop())
	}
	return s, []*daemon{mta, box}, nil
}

func (s *site) writePostfixDovecot() error {
	owner, err := user.Lookup("mail")
	if err != nil {
		return err
	}
	uid, err1 := strconv.Atoi(owner.Uid)
	gid, err2 := strconv.Atoi(owner.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	_, imaps, err := net.SplitHostPort(s.alfa.imaps)
	if err != nil {
		return err
	}
	var passwords, boxes strings.Builder
	for _, u := range s.users() {
		fmt.Fprintf(&passwords, "%s:{PLAIN}%s\n", u, s.password)
		fmt.Fprintf(&boxes, "%s x\n", u)
	}
	if err := s.writeFiles(map[string]string{
		"postfix/main.cf":   postfixMain,
		"postfix/master.cf": strings.Replace(postfixMaster, "PORT", s.alfa.smtps, 1),
		"mailboxes":         boxes.String(),
		"users":             passwords.String(),
		"dovecot.conf":      strings.NewReplacer("PORT", imaps, "MAILUID", owner.Uid, "MAILGID", owner.Gid).Replace(dovecotConf),
	}); err != nil {
		return err
	}
	postfix, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	postfixUID, err := strconv.Atoi(postfix.Uid)
	if err != nil {
		return err
	}
	return errors.Join(
		os.Mkdir(filepath.Join(s.dir, "queue"), 0o755),
		os.Mkdir(filepath.Join(s.dir, "data"), 0o700), os.Chown(filepath.Join(s.dir, "data"), postfixUID, -1),
		os.Mkdir(filepath.Join(s.dir, "mail"), 0o700), os.Chown(filepath.Join(s.dir, "mail"), uid, gid),
	)
}

// fileTail is the end of a peer's log, for whoever looks for a fault.
func fileTail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}
