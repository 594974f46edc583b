// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocument: the document is OpenAPI 3.1, its references lead somewhere, its
// schemas are JSON Schema, and each operation is described and for somebody.
func TestDocument(t *testing.T) {
	h := newHouse(t)
	s := h.spec
	if s.doc["openapi"] != "3.1.0" || s.at("info", "title") == nil || s.at("info", "version") == nil {
		t.Errorf("head %v %v", s.doc["openapi"], s.doc["info"])
	}
	schemas := s.at("components", "schemas").(map[string]any)
	for name := range schemas {
		if _, err := s.compiler.Compile(specURL + "#" + pointer("components", "schemas", name)); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllSubmatch(h.Server.spec.json, -1) {
		if schemas[string(ref[1])] == nil {
			t.Errorf("no schema %s", ref[1])
		}
	}
	seen := make(map[string]bool)
	parameter := regexp.MustCompile(`\{([a-z_]+)\}`)
	for path, item := range s.doc["paths"].(map[string]any) {
		for method, o := range item.(map[string]any) {
			op := o.(map[string]any)
			id, _ := op["operationId"].(string)
			if seen[id] || id == "" || !strings.Contains(fmt.Sprint(op["summary"]), " / ") {
				t.Errorf("%s %s: operation %q, %q", method, path, id, op["summary"])
			}
			seen[id] = true
			if _, ok := roles()[id]; !ok {
				t.Errorf("%s is for nobody", id)
			}
			declared := make(map[string]bool)
			params, _ := op["parameters"].([]any)
			for _, p := range params {
				p := p.(map[string]any)
				if p["in"] == "path" {
					declared[fmt.Sprint(p["name"])] = p["required"] == true
				}
			}
			for _, m := range parameter.FindAllStringSubmatch(path, -1) {
				if !declared[m[1]] {
					t.Errorf("%s: {%s} is not declared", id, m[1])
				}
			}
			for code, r := range op["responses"].(map[string]any) {
				if r.(map[string]any)["description"] == nil {
					t.Errorf("%s: %s has no description", id, code)
				}
			}
			if security := op["security"].([]any); (len(security) == 0) != (roles()[id] == anybody) {
				t.Errorf("%s: security %v", id, security)
			}
		}
	}
	if s.at("components", "securitySchemes", tokenScheme, "scheme") != "bearer" {
		t.Error("no bearer scheme")
	}
	for id := range maps.Keys(roles()) {
		if !seen[id] {
			t.Errorf("%s has a role and is no operation", id)
		}
	}
}

// TestDocumentIsServed: in both spellings, to everybody.
func TestDocumentIsServed(t *testing.T) {
	h := newHouse(t)
	for path, want := range map[string][]byte{"/openapi.json": h.Server.spec.json, "/openapi.yaml": h.Server.spec.yaml} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Prefix+path, nil))
		if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), want) || len(want) == 0 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %d octets", path, w.Code, w.Body.Len())
		}
	}
	if !bytes.HasPrefix(h.Server.spec.yaml, []byte("components:")) || slices.Contains(h.Server.spec.json, '\x00') {
		t.Errorf("YAML begins %.40q", h.Server.spec.yaml)
	}
}
