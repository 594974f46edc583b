// SPDX-License-Identifier: EUPL-1.2

package imap

import "slices"

const none = -1

// forest holds the children of nodes, each node's in a linked list. Nodes from 0
// on are messages, those above them stand for messages that are not there.
type forest struct {
	first, last []int32 // child
	next        []int32 // sibling
}

// grow makes room for n nodes in all.
func (f *forest) grow(n int) {
	for len(f.next) < n {
		f.first, f.last, f.next = append(f.first, none), append(f.last, none), append(f.next, none)
	}
}

// append makes child the last child of parent. It must be in no list.
func (f *forest) append(parent, child int32) {
	f.next[child] = none
	if f.last[parent] == none {
		f.first[parent] = child
	} else {
		f.next[f.last[parent]] = child
	}
	f.last[parent] = child
}

// adopt makes the children of other the last children of parent.
func (f *forest) adopt(parent, other int32) {
	if f.first[other] == none {
		return
	}
	if f.last[parent] == none {
		f.first[parent] = f.first[other]
	} else {
		f.next[f.last[parent]] = f.first[other]
	}
	f.last[parent] = f.last[other]
	f.first[other], f.last[other] = none, none
}

// children lists those of a node.
func (f *forest) children(n int32) []int32 {
	var out []int32
	for c := f.first[n]; c != none; c = f.next[c] {
		out = append(out, c)
	}
	return out
}

// single tells whether a node has exactly one child.
func (f *forest) single(n int32) bool { return f.first[n] != none && f.first[n] == f.last[n] }

// set makes children those of a node, in that order.
func (f *forest) set(n int32, children []int32) {
	f.first[n], f.last[n] = none, none
	for _, c := range children {
		f.append(n, c)
	}
}

// order lists all nodes below and with the roots, parents before their children.
func (f *forest) order(roots []int32) []int32 {
	out := slices.Clone(roots)
	for k := 0; k < len(out); k++ {
		for c := f.first[out[k]]; c != none; c = f.next[c] {
			out = append(out, c)
		}
	}
	return out
}

// appendThreads writes threads (RFC 5256 §4). nums has the number of each message;
// nodes above it are not there. However deep they lie, no stack grows with them.
func appendThreads(b []byte, roots []int32, f *forest, nums []uint32) []byte {
	type level struct{ next int32 } // the sibling to be written in parentheses
	var open []level
	for _, root := range roots {
		b = append(b, '(')
		node, fresh := root, true // fresh: just behind an opening parenthesis
		for {
			if int(node) < len(nums) {
				if !fresh {
					b = append(b, ' ')
				}
				b = appendInt(b, nums[node])
				fresh = false
			}
			switch {
			case f.single(node):
				node = f.first[node]
				continue
			case f.first[node] != none:
				if !fresh {
					b = append(b, ' ')
				}
				node = f.first[node]
				open = append(open, level{f.next[node]})
				b, fresh = append(b, '('), true
				continue
			}
			b = append(b, ')')
			for len(open) > 0 && open[len(open)-1].next == none {
				open = open[:len(open)-1]
				b = append(b, ')')
			}
			if len(open) == 0 {
				break
			}
			node = open[len(open)-1].next
			open[len(open)-1].next = f.next[node]
			b, fresh = append(b, '('), true
		}
	}
	return b
}
