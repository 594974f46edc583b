// SPDX-License-Identifier: EUPL-1.2

package blackbox

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPubliccode reads publiccode.yml and checks what the standard (0.7) makes
// mandatory and what it has deprecated.
func TestPubliccode(t *testing.T) {
	b, err := os.ReadFile("../publiccode.yml")
	if err != nil {
		t.Fatal(err)
	}
	y, err := readYAML(string(b))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"publiccodeYmlVersion": `^0\.7$`, "name": `^pecd$`, "url": `^https://`, "softwareType": `^standalone/(backend|other|web)$`,
		"developmentStatus": `^(concept|development|beta|stable)$`, "legal/license": `^EUPL-1\.2$`,
		"maintenance/type": `^(internal|contract|community|none)$`, "localisation/localisationReady": `^(true|false)$`,
		"localisation/availableLanguages/0": `^[a-z]{2}$`, "platforms/0": `.`, "categories/0": `.`,
		"description/it/shortDescription": `^.{1,150}$`, "description/it/features/0": `.`,
		"description/en/shortDescription": `^.{1,150}$`, "description/en/features/0": `.`,
	} {
		if got := y[key]; !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s: %q does not match %s", key, got, want)
		}
	}
	for _, lang := range []string{"it", "en"} {
		if n := len([]rune(y["description/"+lang+"/longDescription"])); n < 150 || n > 10000 {
			t.Errorf("longDescription %s: %d characters, want 150 to 10000", lang, n)
		}
	}
	aliases := map[string]bool{"gdpr": true, "eidas": true, "nis2": true, "cra": true, "spid": true, "cie": true, "anpr": true, "pagopa": true, "io": true}
	for i := 0; y[fmt.Sprintf("supports/%d/id", i)] != "" || i == 0; i++ {
		id := y[fmt.Sprintf("supports/%d/id", i)]
		if alias, ok := strings.CutPrefix(id, "alias:"); ok && !aliases[alias] {
			t.Errorf("supports: unknown alias %s", alias)
		} else if u, err := url.Parse(id); err != nil || u.Scheme == "" {
			t.Errorf("supports: %q is no URI", id)
		}
	}
	for key := range y {
		for _, old := range []string{"IT/", "it/", "legal/repoOwner", "legal/authorsFile", "inputTypes", "outputTypes", "monochromeLogo"} {
			if strings.HasPrefix(key, old) {
				t.Errorf("%s is deprecated", key)
			}
		}
	}
	if kind := y["maintenance/type"]; (kind == "internal" || kind == "community") && y["maintenance/contacts/0/name"] == "" {
		t.Errorf("maintenance of type %s names nobody", kind)
	}
	if d := y["releaseDate"]; d != "" {
		if _, err := time.Parse("2006-01-02", d); err != nil {
			t.Error(err)
		}
	}
}

// readYAML reads the block style of YAML that publiccode.yml is written in:
// mappings, lists, plain and quoted scalars, folded texts (> and |), comments.
// The result maps paths such as "supports/0/id" to values.
func readYAML(text string) (map[string]string, error) {
	type level struct {
		indent int
		path   string
		items  int
	}
	out := map[string]string{}
	stack := []level{{}}
	lines := strings.Split(text, "\n")
	key := regexp.MustCompile(`^([A-Za-z0-9_-]+):(?: +(.*))?$`)
	for i := 0; i < len(lines); i++ {
		line := strings.TrimRight(lines[i], " ")
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if body == "" || strings.HasPrefix(body, "#") || body == "---" {
			continue
		}
		if strings.Contains(line, "\t") {
			return nil, fmt.Errorf("line %d: tab", i+1)
		}
		for len(stack) > 1 && indent < stack[len(stack)-1].indent {
			stack = stack[:len(stack)-1]
		}
		parent := &stack[len(stack)-1]
		if indent > parent.indent {
			return nil, fmt.Errorf("line %d: unexpected indentation", i+1)
		}
		path := parent.path
		if item, ok := strings.CutPrefix(body, "- "); ok {
			path = fmt.Sprintf("%s%d", path, parent.items)
			parent.items++
			if !key.MatchString(item) {
				out[path] = scalar(item)
				continue
			}
			body, indent = item, indent+2
			path += "/"
			stack = append(stack, level{indent: indent, path: path})
		}
		m := key.FindStringSubmatch(body)
		if m == nil {
			return nil, fmt.Errorf("line %d: neither key nor item: %q", i+1, body)
		}
		path += m[1]
		if _, twice := out[path]; twice {
			return nil, fmt.Errorf("line %d: %s twice", i+1, path)
		}
		switch m[2] {
		case "":
			next := strings.TrimRight(peek(lines, i+1), " ")
			if deeper := len(next) - len(strings.TrimLeft(next, " ")); deeper > indent {
				stack = append(stack, level{indent: deeper, path: path + "/"})
			}
		case ">", ">-", "|", "|-":
			var words []string
			for i+1 < len(lines) && (strings.TrimSpace(lines[i+1]) == "" || len(lines[i+1])-len(strings.TrimLeft(lines[i+1], " ")) > indent) {
				i++
				words = append(words, strings.TrimSpace(lines[i]))
			}
			out[path] = strings.TrimSpace(strings.Join(words, " "))
		default:
			out[path] = scalar(m[2])
		}
	}
	return out, nil
}

// peek is the next line that says something.
func peek(lines []string, i int) string {
	for ; i < len(lines); i++ {
		if s := strings.TrimSpace(lines[i]); s != "" && !strings.HasPrefix(s, "#") {
			return lines[i]
		}
	}
	return ""
}

// scalar is a plain or quoted value without the comment behind it.
func scalar(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : 1+end]
		}
	}
	before, _, _ := strings.Cut(s, " #")
	return strings.TrimSpace(before)
}
