// SPDX-License-Identifier: EUPL-1.2

package api

import (
	"context"
	"time"

	"pecd/fault"
	"pecd/pipeline"
	"pecd/ratelimit"
)

// Limits tells what of its send limits a mailbox has used up; ratelimit.Limiter
// does.
type Limits interface {
	Use(ctx context.Context, key string, f ratelimit.Figures) (ratelimit.Use, error)
}

type (
	// Window is one bound on what a mailbox sends.
	Window struct {
		Window string     `json:"window" enum:"minute,day,recipients_minute,recipients_day"`
		Used   int        `json:"used"`
		Limit  int        `json:"limit"`
		Opens  *time.Time `json:"opens,omitempty" doc:"Quando riapre; assente: è aperta / when it opens; absent: it is open"`
	}
	// SendLimits are the bounds on what a mailbox sends, and what of them is used up.
	SendLimits struct {
		Reduced bool     `json:"reduced" doc:"Limiti ridotti: i nodi non si vedono / reduced: the nodes do not see each other"`
		Windows []Window `json:"windows" nullable:"false"`
	}
	limitsOut struct{ Body SendLimits }
)

func (s *Server) registerLimits() {
	register(s, operation{name: "get-limits", method: get, path: "/mailboxes/{address}/limits", summary: "Limiti di invio e quanto è usato / Send limits and what is used up"},
		func(ctx context.Context, in *AddressParam) (*limitsOut, error) {
			m, err := s.mailbox(ctx, in.Address)
			if err != nil {
				return nil, err
			}
			if m.Service { // no limits
				return &limitsOut{SendLimits{Windows: []Window{}}}, nil
			}
			f, err := s.Directory.Figures(ctx, m)
			if err != nil {
				return nil, err
			}
			use, err := s.Limits.Use(ctx, m.Address, pipeline.Bounds(f))
			if err != nil {
				return nil, fault.Wrap("api.limits", err)
			}
			out := SendLimits{Reduced: use.Reduced}
			for _, w := range use.Windows() {
				out.Windows = append(out.Windows, Window{Window: string(w.Window), Used: w.Used, Limit: w.Limit, Opens: instant(w.Opens)})
			}
			return &limitsOut{out}, nil
		})
}
