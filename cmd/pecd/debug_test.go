// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

func TestDebug_Profiles(t *testing.T) {
	h := debugHandler()
	for path, code := range map[string]int{
		"/debug/pprof/heap": 200, "/debug/pprof/goroutine": 200, "/debug/pprof/mutex?seconds=1": 200,
		"/debug/pprof/mutex": 400, "/debug/pprof/block": 400, "/": 404,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != code || w.Body.Len() == 0 {
			t.Errorf("%s: %d with %d octets, want %d", path, w.Code, w.Body.Len(), code)
		}
	}
}

// TestDebug_SamplesOnlyWhileAsked: what profiles of waiting cost is paid only
// while one is being taken.
func TestDebug_SamplesOnlyWhileAsked(t *testing.T) {
	var switched []bool
	h := sampling("block", func(on bool) { switched = append(switched, on) })
	for _, path := range []string{"/", "/?seconds=1"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if !slices.Equal(switched, []bool{true, false}) {
		t.Errorf("sampling went %v", switched)
	}
}
