// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// cell is one row of the table.
type cell struct {
	name, title string
	run         func(ctx context.Context, b *bench) ([]figure, error)
}

// allCells is the table, in its order.
func allCells() []cell {
	return []cell{
		loadCell("local1", "5 kB, 1 local recipient, 64 connections", load{conns: 64, recipients: 1, size: 5000}, loadTargets{
			rate: 800, aim: 907, cpu: 2.4, signing: 0.5}),
		loadCell("local50", "5 kB, 50 local recipients, 16 connections", load{conns: 16, recipients: 50, size: 5000, most: 320}, loadTargets{rate: 1550, aim: 2100}),
		loadCell("local1-1MB", "1 MB, 1 local recipient, 16 connections", load{conns: 16, recipients: 1, size: 1_000_000}, loadTargets{rate: 100, aim: 134}),
		bigCell(),
		loadCell("single", "5 kB, 1 local recipient, 1 connection", load{conns: 1, recipients: 1, size: 5000}, loadTargets{p50: 4, p99: 15}),
		loadCell("two-daemons", "5 kB, 1 recipient at another provider, 64 connections", load{conns: 64, recipients: 1, size: 5000, remote: true}, loadTargets{rate: 250}),
		imap100kCell(),
		imap10kCell(),
		startCell(),
		fetchUnderLoadCell(),
		loginsCell(),
	}
}

func cellNames() []string {
	var names []string
	for _, c := range allCells() {
		names = append(names, c.name)
	}
	return names
}

// chosenCells are those of a list of names, in the order of the table.
func chosenCells(list string) ([]cell, error) {
	all := allCells()
	if list == "all" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, n := range names {
		if !slices.Contains(cellNames(), n) {
			return nil, fmt.Errorf("--cells: no cell %q; there are %s", n, strings.Join(cellNames(), ", "))
		}
	}
	return slices.DeleteFunc(all, func(c cell) bool { return !slices.Contains(names, c.name) }), nil
}
