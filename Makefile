# SPDX-License-Identifier: EUPL-1.2
#
# make run    build pecd and start the demo: two providers in ./demo (needs Go alone)
# make test   everything .ci/run runs: format, vet, linter, short fuzzing, all tests
# make crash  kill and restart two providers under load for CRASH_TIME (20m) and CRASH_KILLS (300), replay CRASH_IMAGES crashes
#             of the machine, make system calls fail; crash-short: the same for CRASH_SHORT (1m)
# make thunderbird  Thunderbird at work with the demo, configured by autoconfig alone; pictures in bin/thunderbird
# make fuzz   every fuzz target for FUZZTIME (60s)
# make imaptest IMAPTEST=/path/to/checkout  the scripts and the stress mode of imaptest (docs/imap-conformance.md)
# make sync   isync and offlineimap against a local Maildir with SYNC_MESSAGES (20000); a short form is among the tests
# make stress  random commands by many IMAP clients that check what they are told, for STRESS_TIME (10m); 8 s among the tests
# make bench  measure (docs/performance.md); bench-short only checks that everything is delivered
# Also: build, lint, check, packages, clean.

GO        ?= go
FUZZTIME  ?= 60s
SHORTFUZZ ?= 500ms
CRASH_TIME  ?= 20m
CRASH_KILLS ?= 300
CRASH_SHORT ?= 1m
CRASH_IMAGES ?= 300
IMAPTEST_SECS ?= 600
SYNC_MESSAGES ?= 20000
STRESS_TIME ?= 10m

# Tests of much data and one thread: without the race detector, which would make them ten times as long and find nothing.
LARGE := ^(TestBeyondHorizon|TestByteExactness|TestResyncCost|TestThreadReferences|TestDeadline_ManyRecipients)$$|^TestContract$$/^(Horizon|PersonalSeenModel|PersonalSeenMany|AccountsMany|FlagsList)$$

# What the tests drive, as command=Debian package. The two Perl modules give swaks its TLS.
TOOLS    := swaks=swaks mbsync=isync offlineimap=offlineimap3 xmllint=libxml2-utils curl=curl openssl=openssl perl=perl python3=python3 gcc=gcc \
	strace=strace fetchmail=fetchmail getmail=getmail6 mpop=mpop slapd=slapd ldapsearch=ldap-utils clamd=clamav-daemon softhsm2-util=softhsm2 \
	redis-server=redis-server sieve-test=dovecot-sieve sieve-connect=sieve-connect rspamd=rspamd
PERLMODS := IO::Socket::SSL=libio-socket-ssl-perl Net::SSLeay=libnet-ssleay-perl
ALWAYS   := ca-certificates libc6-dev

.PHONY: build run test check lint fuzz bench bench-short crash crash-short imaptest stress sync thunderbird packages clean

build:
	$(GO) build -trimpath -o bin/pecd ./cmd/pecd

run: build
	bin/pecd demo --dir ./demo

# The tests come last, so that their lines close the output.
test: packages check
	@$(MAKE) --no-print-directory fuzz FUZZTIME=$(SHORTFUZZ)
	$(GO) test -race -timeout 15m -skip '$(LARGE)' $$($(GO) list ./... | grep -v '/test\(/\|$$\)')
	$(GO) test -timeout 15m -run '$(LARGE)' ./imap ./pipeline ./storage/sqlite
	@$(MAKE) --no-print-directory bench-short
	CRASH_TIME=$(CRASH_SHORT) $(GO) test -count=1 -p 1 -timeout 15m ./test/...

check:
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "gofmt -w would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags imaptest ./test
	@$(MAKE) --no-print-directory lint

lint:
	$(GO) build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

# BENCH holds more flags: make bench BENCH='--cells local1 --rounds 5'
bench: build
	$(GO) build -trimpath -o bin/pecbench ./cmd/pecbench
	bin/pecbench $(BENCH)

# Small numbers: that everything is delivered, no rates.
bench-short:
	@$(MAKE) --no-print-directory bench BENCH='--cells local1,single,imap100k,imap10k,logins --rounds 1 --seconds 1 --scale 0.01 --no-syncs'

fuzz:
	@GO=$(GO) tools/fuzz.sh $(FUZZTIME)

crash: packages
	CRASH_TIME=$(CRASH_TIME) CRASH_KILLS=$(CRASH_KILLS) CRASH_IMAGES=$(CRASH_IMAGES) $(GO) test -count=1 -v -timeout 2h ./test/crash

crash-short:
	@$(MAKE) --no-print-directory crash CRASH_TIME=$(CRASH_SHORT) CRASH_KILLS=1 CRASH_IMAGES=100

imaptest:
	IMAPTEST="$(IMAPTEST)" IMAPTEST_SECS=$(IMAPTEST_SECS) $(GO) test -tags imaptest -count=1 -v -timeout 1h -run IMAPTest ./test

# Half a gigabyte of packages, of which the other tests need nothing.
thunderbird:
	@$(MAKE) --no-print-directory packages PERLMODS= ALWAYS=thunderbird-l10n-it \
		TOOLS="thunderbird=thunderbird Xvfb=xvfb certutil=libnss3-tools import=imagemagick"
	PECD_THUNDERBIRD=1 PECD_PICTURES=$(CURDIR)/bin/thunderbird $(GO) test -count=1 -v -timeout 10m ./test/thunderbird

stress:
	STRESS_TIME=$(STRESS_TIME) $(GO) test -count=1 -v -timeout 2h -run 'TestStress$$' ./imap

sync: packages
	SYNC_MESSAGES=$(SYNC_MESSAGES) $(GO) test -count=1 -v -timeout 2h -run TestSync ./test

packages:
	@missing=""; PATH="$$PATH:/usr/sbin"; \
	for t in $(TOOLS); do command -v $${t%%=*} >/dev/null || missing="$$missing $${t#*=}"; done; \
	if command -v perl >/dev/null; then for m in $(PERLMODS); do perl -M$${m%%=*} -e 1 2>/dev/null || missing="$$missing $${m#*=}"; done; \
	else missing="$$missing $(foreach m,$(PERLMODS),$(lastword $(subst =, ,$(m))))"; fi; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing $(ALWAYS); \
	else \
		echo "The tests need:$$missing. Install them with:"; echo "  sudo apt-get install$$missing $(ALWAYS)"; exit 1; \
	fi

clean:
	rm -rf bin demo
