// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync"
)

// What is sampled while a profile of waiting is being taken: one in so many
// contended mutexes, and one blocking event in so many nanoseconds of waiting.
const (
	mutexFraction = 5
	blockRate     = 10_000
)

// debugHandler serves the process's profiles (runtime/pprof) for diagnosis.
// They name functions of the program and no contents of messages.
func debugHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // heap, allocs, goroutine
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/pprof/mutex", sampling("mutex", func(on bool) {
		runtime.SetMutexProfileFraction(map[bool]int{true: mutexFraction}[on])
	}))
	mux.Handle("GET /debug/pprof/block", sampling("block", func(on bool) {
		runtime.SetBlockProfileRate(map[bool]int{true: blockRate}[on])
	}))
	return mux
}

// sampling serves a profile whose samples are collected only while somebody
// asks for it, with ?seconds=N: collecting costs every lock something. One at a
// time.
func sampling(name string, collect func(on bool)) http.Handler {
	var busy sync.Mutex
	profile := pprof.Handler(name)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("seconds") == "" {
			http.Error(w, "say how long: ?seconds=N", http.StatusBadRequest)
			return
		}
		if !busy.TryLock() {
			http.Error(w, "being taken by somebody else", http.StatusConflict)
			return
		}
		defer busy.Unlock()
		collect(true)
		defer collect(false)
		profile.ServeHTTP(w, r)
	})
}

// checkLoopback wants a literal address of this machine alone.
func checkLoopback(address string) error {
	if address == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not on the loopback: 127.0.0.1:PORT or [::1]:PORT", address)
	}
	return nil
}
