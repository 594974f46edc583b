#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Runs every fuzz target for the given time, "60s", or number of inputs, "5000x".
# The program of a package is built once for all of its targets.
set -eu
go=${GO:-go}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cache=$("$go" env GOCACHE)/fuzz/$("$go" list -m) # where "go test -fuzz" keeps it
root=$PWD
grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]+:[0-9]+:func | |' | sort -u >"$tmp/targets"
built=
while read -r dir name; do
	if [ "$dir" != "$built" ]; then
		"$go" test -c -fuzz . -o "$tmp/fuzz.test" "$dir"
		built=$dir
	fi
	echo "fuzz $dir $name for $1"
	cd "$dir"
	# Left alone Go spends most of a minute on shortening each new input: 20x bounds that.
	if "$tmp/fuzz.test" -test.run '^$' -test.fuzz "^$name\$" -test.fuzztime "$1" -test.fuzzminimizetime 20x \
		-test.fuzzcachedir "$cache/${dir#./}" >"$tmp/log" 2>&1; then
		tail -n 2 "$tmp/log" | head -n 1
	elif grep -q 'context deadline exceeded' "$tmp/log" && ! grep -q 'Failing input\|panic\|--- FAIL: .*/' "$tmp/log"; then
		# A known fault of the go command: the end of the time, taken for a failure.
		echo "$name: no finding (the time ended inside an input)"
	else
		cat "$tmp/log"
		exit 1
	fi
	cd "$root"
done <"$tmp/targets"
