// SPDX-License-Identifier: EUPL-1.2

package sieve

import "unicode/utf8"

// node is a command or a test as it is written (RFC 5228 §8.2), not yet known to
// make sense.
type node struct {
	line  int
	name  string
	args  []arg
	tests []node
	list  bool // the tests stand in parentheses
	block []node
	ended bool // by a semicolon: no block
}

// arg is one argument: a tag, a number, or strings.
type arg struct {
	kind  kind
	line  int
	tag   string
	n     int64
	texts []string
}

// parser reads one script.
type parser struct {
	lex   lexer
	tok   token // the one that is looked at
	depth int
	count int // commands and tests
}

// parse reads a whole script.
func parse(script string) ([]node, error) {
	if len(script) > MaxScript {
		return nil, wrong(1, "il filtro supera 64 KiB", "the script is larger than 64 KiB")
	}
	p := parser{lex: lexer{src: script, line: 1}}
	for i := 0; i < len(script); { // of the lines, the one with the fault
		r, n := utf8.DecodeRuneInString(script[i:])
		switch {
		case r == utf8.RuneError && n == 1, r == 0:
			return nil, wrong(p.lex.line, "il filtro non è testo UTF-8", "the script is not UTF-8 text")
		case r == '\n':
			p.lex.line++
		}
		i += n
	}
	p.lex.line = 1
	if err := p.advance(); err != nil {
		return nil, err
	}
	all, err := p.commands()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != end {
		return nil, p.unexpected()
	}
	return all, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) at(m string) bool { return p.tok.kind == mark && p.tok.value == m }

func (p *parser) unexpected() error {
	switch p.tok.kind {
	case end:
		return wrong(p.tok.line, "il filtro finisce troppo presto", "the script ends too early")
	case text, number:
		return wrong(p.tok.line, "argomento fuori posto", "misplaced argument")
	}
	return wrongf(p.tok.line, "%s fuori posto", "misplaced %s", p.tok.value)
}

// enter counts a block or test within another one, leave is its end.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxNesting {
		return wrong(p.tok.line, "troppi livelli di blocchi e condizioni", "blocks and tests are nested too deeply")
	}
	return nil
}

func (p *parser) leave() { p.depth-- }

// begin reads the name of a command or test.
func (p *parser) begin() (node, error) {
	if p.tok.kind != identifier {
		return node{}, p.unexpected()
	}
	if p.count++; p.count > maxCommands {
		return node{}, wrong(p.tok.line, "troppi comandi e condizioni nel filtro", "too many commands and tests in the script")
	}
	n := node{line: p.tok.line, name: p.tok.value}
	return n, p.advance()
}

// commands reads commands up to the end of the block or script.
func (p *parser) commands() ([]node, error) {
	var all []node
	for p.tok.kind != end && !p.at("}") {
		n, err := p.command()
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func (p *parser) command() (node, error) {
	n, err := p.begin()
	if err != nil {
		return n, err
	}
	if err := p.arguments(&n); err != nil {
		return n, err
	}
	switch {
	case p.at(";"):
		n.ended = true
		return n, p.advance()
	case !p.at("{"):
		return n, wrongf(p.tok.line, "manca il punto e virgola dopo %s", "a semicolon is missing after %s", n.name)
	}
	open := p.tok.line
	if err := p.enter(); err != nil {
		return n, err
	}
	defer p.leave()
	if err := p.advance(); err != nil {
		return n, err
	}
	if n.block, err = p.commands(); err != nil {
		return n, err
	}
	if !p.at("}") {
		return n, wrong(open, "parentesi graffa non chiusa", "brace is not closed")
	}
	return n, p.advance()
}

// arguments reads those of a command or test, and its tests behind them.
func (p *parser) arguments(n *node) error {
	for {
		a := arg{kind: p.tok.kind, line: p.tok.line}
		switch {
		case p.tok.kind == tag:
			a.tag = p.tok.value
		case p.tok.kind == number:
			a.n = p.tok.n
		case p.tok.kind == text:
			a.texts = []string{p.tok.value}
		case p.at("["):
			texts, err := p.texts()
			if err != nil {
				return err
			}
			a.kind, a.texts = text, texts
		case p.tok.kind == identifier:
			t, err := p.test()
			n.tests = []node{t}
			return err
		case p.at("("):
			n.list = true
			return p.testList(n)
		default:
			return nil
		}
		n.args = append(n.args, a)
		if err := p.advance(); err != nil {
			return err
		}
	}
}

// texts reads a list of strings up to its bracket, which stays.
func (p *parser) texts() ([]string, error) {
	var all []string
	for {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != text {
			return nil, p.unexpected()
		}
		all = append(all, p.tok.value)
		if err := p.advance(); err != nil {
			return nil, err
		}
		switch {
		case p.at("]"):
			return all, nil
		case !p.at(","):
			return nil, p.unexpected()
		}
	}
}

func (p *parser) test() (node, error) {
	if err := p.enter(); err != nil {
		return node{}, err
	}
	defer p.leave()
	n, err := p.begin()
	if err != nil {
		return n, err
	}
	return n, p.arguments(&n)
}

func (p *parser) testList(n *node) error {
	for {
		if err := p.advance(); err != nil {
			return err
		}
		t, err := p.test()
		if err != nil {
			return err
		}
		n.tests = append(n.tests, t)
		switch {
		case p.at(")"):
			return p.advance()
		case !p.at(","):
			return p.unexpected()
		}
	}
}
