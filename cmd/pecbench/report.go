// SPDX-License-Identifier: EUPL-1.2

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"
)

// report prints figures as they come and keeps them for the end.
type report struct {
	w       io.Writer
	full    bool         // sizes are those of the table, so that its targets count
	Machine string       `json:"machine"`
	At      time.Time    `json:"at"`
	Cells   []cellReport `json:"cells"`
}

type cellReport struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Figures []figure `json:"figures"`
	Error   string   `json:"error,omitempty"`
}

func newReport(w io.Writer, machine string, full bool) *report {
	fmt.Fprintln(w, machine)
	return &report{w: w, full: full, Machine: machine, At: time.Now().UTC()}
}

func (r *report) begin(c cell) { fmt.Fprintf(r.w, "\n%s: %s\n", c.name, c.title) }

func (r *report) add(c cell, figures []figure, err error) {
	cr := cellReport{Name: c.name, Title: c.title, Figures: figures}
	for i := range figures {
		f := &figures[i]
		if !r.full {
			f.Target, f.Aim, f.Met = 0, 0, false
		}
		fmt.Fprintf(r.w, "  %-44s %10s %-10s %-22s %s\n", f.Name, number(f.Value), f.Unit, f.spread(), f.verdict())
	}
	if err != nil {
		cr.Error = err.Error()
		fmt.Fprintln(r.w, "  FAILED:", err)
	}
	r.Cells = append(r.Cells, cr)
}

// summary counts the targets.
func (r *report) summary() {
	met, missed, failed := 0, 0, 0
	for _, c := range r.Cells {
		if c.Error != "" {
			failed++
		}
		for _, f := range c.Figures {
			switch {
			case f.Target == 0:
			case f.Met:
				met++
			default:
				missed++
			}
		}
	}
	fmt.Fprintf(r.w, "\ntargets met %d, missed %d; cells failed %d\n", met, missed, failed)
}

func (r *report) writeJSON(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func (f figure) spread() string {
	if f.Rounds < 2 {
		return ""
	}
	return fmt.Sprintf("(%s to %s)", number(f.Low), number(f.High))
}

func (f figure) verdict() string {
	if f.Target == 0 {
		return ""
	}
	word, sign := "missed", "≥"
	if f.Met {
		word = "met"
	}
	if f.AtMost {
		sign = "≤"
	}
	s := fmt.Sprintf("target %s %s: %s", sign, number(f.Target), word)
	if f.Aim != 0 {
		s += fmt.Sprintf(" (aim %s)", number(f.Aim))
	}
	return s
}

// number prints three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}
