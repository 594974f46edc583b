// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The house rules that a machine can check.

const (
	spdx     = "// SPDX-License-Identifier: EUPL-1.2"
	maxLines = 450
)

// walk calls f for every file of the project with one of the extensions.
func walk(t *testing.T, f func(path string, content []byte), extensions ...string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && path != ".." && (strings.HasPrefix(e.Name(), ".") || e.Name() == "bin" || e.Name() == "demo" || e.Name() == "testdata"):
			return filepath.SkipDir
		case e.IsDir() || !slices.Contains(extensions, filepath.Ext(path)):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f(path, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryGoFileIsLicensedAndShort(t *testing.T) {
	count := 0
	walk(t, func(path string, content []byte) {
		count++
		first, _, _ := bytes.Cut(content, []byte("\n"))
		if string(first) != spdx {
			t.Errorf("%s: the first line is not %q", path, spdx)
		}
		if n := bytes.Count(content, []byte("\n")); n > maxLines {
			t.Errorf("%s: %d lines, at most %d: one subject a file", path, n, maxLines)
		}
	}, ".go")
	if count < 20 {
		t.Errorf("only %d Go files found", count)
	}
	license, err := os.ReadFile("../LICENSE")
	if err != nil || !bytes.Contains(license, []byte("EUROPEAN UNION PUBLIC LICENCE v. 1.2")) {
		t.Errorf("LICENSE is not the EUPL 1.2: %v", err)
	}
	if reuse, err := os.ReadFile("../LICENSES/EUPL-1.2.txt"); err != nil || !bytes.Equal(reuse, license) {
		t.Errorf("LICENSES/EUPL-1.2.txt differs from LICENSE: %v", err)
	}
}

// TestDocsNameRealTargets: every "make X" in a document is a target.
func TestDocsNameRealTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllSubmatch(makefile, -1) {
		targets[string(m[1])] = true
	}
	command := regexp.MustCompile("(?m)(?:`|^\\s*(?:\\$ )?|&& )make ([a-z][a-z0-9-]*)")
	walk(t, func(path string, content []byte) {
		for _, m := range command.FindAllSubmatch(content, -1) {
			if !targets[string(m[1])] {
				t.Errorf("%s names `make %s`, which the Makefile does not have", path, m[1])
			}
		}
	}, ".md", ".yml", ".yaml", ".sh")
}

// TestDocsLinkToFiles: every relative link of a document leads to a file.
func TestDocsLinkToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	walk(t, func(path string, content []byte) {
		for _, m := range link.FindAllSubmatch(content, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target)); err != nil {
				t.Errorf("%s links to %s: %v", path, target, err)
			}
		}
	}, ".md")
}

// TestDependenciesAreExplained: docs/dependencies.md has a row for every direct
// requirement and every replacement in go.mod.
func TestDependenciesAreExplained(t *testing.T) {
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	require := regexp.MustCompile(`(?m)^(?:require )?\s*([a-z0-9.-]+\.[a-z]+/\S+|modernc\.org/\S+) v\S+$`)
	replace := regexp.MustCompile(`(?m)^replace (\S+)(?: \S+)? => (\S+)`)
	named := map[string]bool{}
	for _, m := range require.FindAllSubmatch(gomod, -1) {
		named[string(m[1])] = true
	}
	for _, m := range replace.FindAllSubmatch(gomod, -1) {
		named[string(m[1])], named[string(m[2])] = true, true
	}
	if len(named) < 10 {
		t.Fatalf("only %d modules read from go.mod", len(named))
	}
	for module := range named {
		if !bytes.Contains(doc, []byte("`"+module+"`")) {
			t.Errorf("docs/dependencies.md does not explain %s", module)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllSubmatch(doc, -1) {
		if !bytes.Contains(gomod, m[1]) && !named[string(m[1])] {
			if tools, _ := os.ReadFile("../tools/go.mod"); !bytes.Contains(tools, m[1]) {
				t.Errorf("docs/dependencies.md explains %s, which is required nowhere", m[1])
			}
		}
	}
}

// TestNothingOfThisMachine: no absolute path of a working copy is committed.
func TestNothingOfThisMachine(t *testing.T) {
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	walk(t, func(path string, content []byte) {
		if len(here) > 4 && bytes.Contains(content, []byte(here+"/")) {
			t.Errorf("%s names %s", path, here)
		}
		if !utf8.Valid(content) && filepath.Ext(path) == ".md" {
			t.Errorf("%s is not UTF-8", path)
		}
	}, ".go", ".md", ".yml", ".toml", ".svg", ".mod")
}
