// SPDX-License-Identifier: EUPL-1.2

package imap

import (
	"context"
	"slices"

	imaplib "github.com/emersion/go-imap/v2"
)

// Messages that are referred to and not there are nodes as well: as many as this,
// or some for each message that is there.
const (
	minNodes        = 1 << 20
	nodesForMessage = 4

	// maxSteps is how far upwards loops are looked for in all, a second's work. The
	// way is long only where it was laid out to be: a reply that comes before what
	// it answers, again and again, at the end of an ever longer conversation.
	maxSteps = 1 << 26
)

var errTooManyReferences = no(imaplib.ResponseCodeLimit, "troppi riferimenti / too many references")

// kinship is who refers to whom, while that is being found out.
type kinship struct {
	t      *threader
	ctx    context.Context
	node   map[uint64]int32 // of an identifier
	parent []int32
	kids   []int32 // how many
	steps  int     // taken upwards
}

// byReferences is the algorithm REFERENCES of RFC 5256 §3, its steps (1) to (6).
func (t *threader) byReferences(ctx context.Context) ([]int32, error) {
	k := &kinship{t: t, ctx: ctx, node: make(map[uint64]int32, len(t.indexes))}
	if err := k.relate(); err != nil {
		return nil, err
	}
	roots := t.prune(k.plant())
	t.byDate(roots)
	roots = t.joinSubjects(roots)
	return t.sortAll(roots), ctx.Err()
}

// dummy tells whether a node stands for a message that is not there.
func (t *threader) dummy(n int32) bool { return int(n) >= len(t.indexes) }

// relate finds the parent of each message (step 1).
func (k *kinship) relate() error {
	for n := range k.t.indexes {
		k.parent, k.kids = append(k.parent, none), append(k.kids, 0)
		id := k.t.ids[n]
		if _, taken := k.node[id]; id != 0 && !taken {
			k.node[id] = int32(n) // the first message of that identifier
		}
	}
	for n := range k.t.indexes {
		if err := k.ctx.Err(); err != nil {
			return err
		}
		before := int32(none)
		for _, id := range k.t.referencesOf(n) {
			ref, err := k.of(id)
			if err != nil {
				return err
			}
			if before != none && k.parent[ref] == none {
				if err := k.link(before, ref); err != nil {
					return err
				}
			}
			before = ref
		}
		// What the message itself says of its parent counts more than what others do.
		k.unlink(int32(n))
		if before != none {
			if err := k.link(before, int32(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the node of an identifier.
func (k *kinship) of(id uint64) (int32, error) {
	if n, ok := k.node[id]; ok {
		return n, nil
	}
	if len(k.parent) >= max(minNodes, nodesForMessage*len(k.t.indexes)) {
		return 0, errTooManyReferences
	}
	n := int32(len(k.parent))
	k.parent, k.kids = append(k.parent, none), append(k.kids, 0)
	k.node[id] = n
	return n, nil
}

// link makes parent the parent of child, unless it descends from it.
func (k *kinship) link(parent, child int32) error {
	if parent == child {
		return nil
	}
	if k.kids[child] > 0 { // else nothing descends from it
		for n := k.parent[parent]; n != none; n = k.parent[n] {
			if n == child {
				return nil
			}
			if k.steps++; k.steps > maxSteps {
				return errTooManyReferences
			}
		}
	}
	k.parent[child] = parent
	k.kids[parent]++
	return nil
}

func (k *kinship) unlink(child int32) {
	if p := k.parent[child]; p != none {
		k.kids[p]--
		k.parent[child] = none
	}
}

// plant makes the forest out of parents and returns its roots (step 2).
func (k *kinship) plant() (roots []int32) {
	f := &k.t.forest
	f.grow(len(k.parent))
	for n, parent := range k.parent {
		if parent == none {
			roots = append(roots, int32(n))
		} else {
			f.append(parent, int32(n))
		}
	}
	return roots
}

// prune takes dummies out and puts their children into their place; a root
// keeps its place where it has several (step 3).
func (t *threader) prune(roots []int32) []int32 {
	f := &t.forest
	order := f.order(roots)
	for _, n := range slices.Backward(order) { // children first
		children := f.children(n)
		f.set(n, nil)
		for _, c := range children {
			if t.dummy(c) {
				f.adopt(n, c)
			} else {
				f.append(n, c)
			}
		}
	}
	kept := roots[:0]
	for _, r := range roots {
		switch {
		case !t.dummy(r):
			kept = append(kept, r)
		case f.single(r):
			kept = append(kept, f.first[r])
			f.set(r, nil)
		case f.first[r] != none:
			kept = append(kept, r)
		}
	}
	return kept
}

// byDate sorts siblings: messages by their sent dates, dummies by those of their
// first children, which are sorted as well (step 4).
func (t *threader) byDate(nodes []int32) {
	for _, n := range nodes {
		if t.dummy(n) {
			t.sortChildren(n)
		}
	}
	slices.SortFunc(nodes, func(a, b int32) int { return t.older(t.speaker(a), t.speaker(b)) })
}

// speaker is the message by which a thread is judged: its root, or the first
// child of a dummy.
func (t *threader) speaker(n int32) int32 {
	if t.dummy(n) {
		return t.forest.first[n]
	}
	return n
}

func (t *threader) sortChildren(n int32) {
	if t.forest.first[n] == t.forest.last[n] {
		return
	}
	children := t.forest.children(n)
	slices.SortFunc(children, t.older)
	t.forest.set(n, children)
}

// joinSubjects puts threads of the same base subject together (step 5).
func (t *threader) joinSubjects(roots []int32) []int32 {
	table := make(map[int64]int) // of subjects to places in roots
	for place, r := range roots {
		subject := t.subjects[t.speaker(r)]
		if subject == 0 {
			continue
		}
		there, ok := table[subject]
		if !ok || !t.dummy(roots[there]) && (t.dummy(r) || t.replies[roots[there]] && !t.replies[r]) {
			table[subject] = place
		}
	}
	gone := make([]bool, len(roots))
	for place, r := range roots {
		subject := t.subjects[t.speaker(r)]
		there, ok := table[subject]
		if subject == 0 || !ok || there == place {
			continue
		}
		roots[there] = t.join(roots[there], r)
		gone[place] = true
	}
	kept := roots[:0]
	for place, r := range roots {
		if !gone[place] {
			kept = append(kept, r)
		}
	}
	return kept
}

// join merges the thread of root r with the one of the same subject that stands
// for it, and returns the root of both.
func (t *threader) join(there, r int32) int32 {
	f := &t.forest
	switch {
	case t.dummy(there) && t.dummy(r):
		f.adopt(there, r)
	case t.dummy(there), t.replies[r] && !t.replies[there]:
		f.append(there, r)
	default:
		dummy := int32(len(f.next))
		f.grow(len(f.next) + 1)
		f.append(dummy, there)
		f.append(dummy, r)
		return dummy
	}
	return there
}

// sortAll sorts all siblings by sent date, the roots last (step 6).
func (t *threader) sortAll(roots []int32) []int32 {
	for _, n := range slices.Backward(t.forest.order(roots)) {
		t.sortChildren(n)
	}
	t.byDate(roots)
	return roots
}
