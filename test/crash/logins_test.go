// SPDX-License-Identifier: EUPL-1.2

package crash

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/argon2"

	"pecd/storage"
	"pecd/storage/sqlite"
)

// cheapLogins gives the users of a stopped site password hashes that take no
// time: thousands of logins are made here, and none of them is what is tried.
func cheapLogins(t testing.TB, dir string) {
	t.Helper()
	env, err := readEnv(filepath.Join(dir, "demo.env"))
	if err != nil {
		t.Fatal(err)
	}
	salt := []byte("a grain of salt.")
	b64 := base64.RawStdEncoding
	hash := fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64.EncodeToString(salt), b64.EncodeToString(argon2.IDKey([]byte(env["PASSWORD"]), salt, 1, 8, 1, 32)))
	ctx := context.Background()
	for _, name := range []string{"alfa", "beta"} {
		st, err := sqlite.Open(ctx, filepath.Join(dir, name, "store"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		step := new(storage.Step)
		err = st.Mailboxes(ctx, "", func(m storage.Mailbox) error {
			u, err := st.User(ctx, m.Address)
			u.Hash = hash
			step.Add(&storage.PutUser{User: u})
			return err
		})
		if err == nil {
			err = st.Commit(ctx, step)
		}
		if err := errors.Join(err, st.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
