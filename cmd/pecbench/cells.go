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
