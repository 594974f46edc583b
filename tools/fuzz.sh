#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# Runs every fuzz target for the given time, "60s", or number of inputs, "5000x".
set -eu
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's|/[^/]+:[0-9]+:func | |' | sort -u >"$log.targets"
trap 'rm -f "$log" "$log.targets"' EXIT
while read -r dir name; do
	echo "fuzz $dir $name for $1"
	# Left alone Go spends most of a minute on shortening each new input: 20x bounds that.
	if "$go" test -run '^$' -fuzz "^$name\$" -fuzztime "$1" -fuzzminimizetime 20x "$dir" >"$log" 2>&1; then
		tail -n 1 "$log"
	elif grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input\|panic\|--- FAIL: .*/' "$log"; then
		# A known fault of the go command: the end of the time, taken for a failure.
		echo "$name: no finding (the time ended inside an input)"
	else
		cat "$log"
		exit 1
	fi
done <"$log.targets"
