// SPDX-License-Identifier: EUPL-1.2

package sqlite

import (
	"context"
	"testing"

	"pecd/storage"
	"pecd/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T, dir string) storage.Store {
		s, err := Open(context.Background(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
