// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"net/http"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pecd/api"
	"pecd/metrics"
)

// publicHandler serves what other machines may ask of a node without a login.
func (n *node) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := n.store.Domains(r.Context()); err != nil {
			http.Error(w, "store not readable", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	if n.cfg.Demo {
		mux.HandleFunc("GET /ca.pem", n.file("application/x-pem-file", n.cfg.path(n.cfg.Trust.Authorities)))
		for _, crl := range n.cfg.Trust.CRLs {
			mux.HandleFunc("GET /ca.crl", n.file("application/x-pem-file", n.cfg.path(crl)))
		}
	}
	mux.HandleFunc("/", n.site.Redirect)
	return mux
}

// secureHandler serves, over HTTPS, our own record of the index at its path, the
// interface for programs at its, and the configuration of mail clients.
func (n *node) secureHandler(programs *api.Server) http.Handler {
	clients := n.clientHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case n.publisher != nil && r.URL.Path == n.cfg.Publish.Path:
			n.publisher.ServeHTTP(w, r)
		case programs.Serves(r.URL.Path):
			programs.ServeHTTP(w, r)
		default:
			clients.ServeHTTP(w, r)
		}
	})
}

// openAPI makes the interface for programs.
func (n *node) openAPI() (*api.Server, error) {
	return api.New(api.Config{
		Directory: n.users, Store: n.store, Guesses: n.guard, Limits: n.limits.Limiter, Protections: n.protections, Contacts: n.notices,
		Unblocked: n.conduct.Unblocked, Clock: n.clock, Logger: n.log, Provider: n.cfg.Provider.Name, Site: n.site.Web(""),
	})
}

func (n *node) file(contentType, path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := os.ReadFile(path)
		if err != nil {
			n.log.Error("file not served", "error", err)
			http.Error(w, "not available", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Write(b)
	}
}

// metricsHandler serves the process's own figures, the alarms and the clock's
// deviation; those of the mail follow from the ledger.
func (n *node) metricsHandler() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg.MustRegister(metrics.Alarms(n.alarms), metrics.Admission(n.admissionFigures), metrics.POP3(n.drops.Figures), metrics.Logins(n.guard.Refusals))
	reg.MustRegister(n.limitCounts, n.intercepted, metrics.Notices(n.noticeFigures), metrics.Mailboxes(n.countMailboxes))
	if n.deviation != nil {
		reg.MustRegister(metrics.ClockOffset(n.deviation.Last))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	return mux
}
