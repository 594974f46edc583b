// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPasswordsOutlastACutAnswer: passwords that may be those of users are kept,
// whatever became of the answer; those that are nobody's are not.
func TestPasswordsOutlastACutAnswer(t *testing.T) {
	cut := errors.New("cut off")
	for i, c := range []struct {
		made    bool
		outcome error
		kept    bool
	}{{true, nil, true}, {true, cut, true}, {true, errProblems, false}, {false, cut, false}, {false, errProblems, false}} {
		name := filepath.Join(t.TempDir(), "password.csv")
		var stdout, stderr bytes.Buffer
		o := &importOutput{stdout: &stdout, stderr: &stderr}
		if err := o.keepPasswords(name); err != nil {
			t.Fatal(err)
		}
		if c.made {
			if _, err := fmt.Fprintln(o, `{"password":{"Login":"anna","Name":"Anna","Password":"abcd"}}`); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.close(c.outcome); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if c.kept != (err == nil) || c.kept && !bytes.Contains(text, []byte("anna;Anna;abcd")) {
			t.Errorf("%d: %v %q", i, err, text)
		}
		if (c.outcome == cut && c.made) != (stderr.Len() > 0) {
			t.Errorf("%d: told %q", i, stderr.String())
		}
	}
}
