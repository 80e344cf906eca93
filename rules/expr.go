package rules

import "strings"

// expr is an expression: first as it was parsed, then, once checked, as it is
// evaluated.
type expr struct {
	op       op
	typ      typ
	height   uint16 // of the tree
	from, to int32  // in the text
	args     []*expr
	name     string // of a variable or a property
	val      val    // of a literal
	id       uint8  // of a method or a query's property; the component of the path that a wildcard stands for
	re       *regex
}

const (
	// maxExprNesting bounds how deeply brackets, prefixes and choices nest.
	maxExprNesting = 128
	// maxExprHeight bounds the tree, which chains of operators make high without
	// any nesting. What is linked by && or || counts once.
	maxExprHeight = 1000
)

// exprParser reads the subset of JavaScript's expressions that rules have.
type exprParser struct {
	lexer
	tok  token
	nest int
}

// parseExpr reads a whole rule.
func parseExpr(src string) (*expr, error) {
	p := &exprParser{lexer: lexer{src: src}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokEnd {
		return nil, failAt(len(src), "Unexpected end of expression: the rule is empty")
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.is(";") { // as the console accepts it
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokEnd {
			return nil, failAt(p.tok.from, "A rule is one expression, but another statement follows")
		}
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("an operator or the end of the expression")
	}
	return e, nil
}

func (p *exprParser) advance() (err error) {
	p.tok, err = p.next()
	return err
}

func (p *exprParser) is(sign string) bool { return p.tok.kind == tokSign && p.tok.text == sign }

func (p *exprParser) expect(sign string) error {
	if !p.is(sign) {
		return p.unexpected("'" + sign + "'")
	}
	return p.advance()
}

// unexpected is a token where something else must stand.
func (p *exprParser) unexpected(want string) error {
	at := p.tok.from
	switch p.tok.kind {
	case tokEnd:
		return failAt(at, "Unexpected end of expression: expected %s", want)
	case tokSign:
		switch s := p.tok.text; s {
		case "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", ">>>=", "**=":
			return failAt(at, "Rule expressions may not contain %s operator: to compare, write ==", s)
		case "&", "|":
			return failAt(at, "Rule expressions may not contain %s operator: write %s%s", s, s, s)
		case "**", "^", "~", "<<", ">>", ">>>", "++", "--", "??", "?.", "=>", "...":
			return failAt(at, "Rule expressions may not contain %s operator", s)
		}
	case tokName:
		switch p.tok.text {
		case "in", "instanceof", "typeof", "void", "delete", "new":
			return failAt(at, "Rule expressions may not contain %s operator", p.tok.text)
		case "var", "let", "const", "function", "return", "if", "for", "while", "do", "switch", "throw", "try", "class", "this", "with":
			return failAt(at, "syntax error: a rule is one expression and has no %q", p.tok.text)
		}
	}
	return failAt(at, "syntax error: expected %s, found %q", want, p.src[at:p.tok.to])
}

func (p *exprParser) enter() error {
	if p.nest++; p.nest > maxExprNesting {
		return failAt(p.tok.from, "The expression is nested more than %d deep", maxExprNesting)
	}
	return nil
}

// build makes the node over args.
func (p *exprParser) build(o op, from, to int, args ...*expr) (*expr, error) {
	e := &expr{op: o, from: int32(from), to: int32(to), args: args}
	for _, a := range args {
		e.height = max(e.height, a.height+1)
	}
	if e.height > maxExprHeight {
		return nil, failAt(from, "The expression is too long: use brackets, or && and ||")
	}
	return e, nil
}

func (p *exprParser) expression() (*expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.nest-- }()
	test, err := p.binary(byOr)
	if err != nil || !p.is("?") {
		return test, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	yes, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	no, err := p.expression()
	if err != nil {
		return nil, err
	}
	return p.build(opChoice, int(test.from), int(no.to), test, yes, no)
}

func (p *exprParser) binary(strength int) (*expr, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for p.tok.kind == tokSign {
		o := findOperator(operators, p.tok.text)
		if o == nil || o.strength < strength {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.binary(o.strength + 1)
		if err != nil {
			return nil, err
		}
		if left.op == o.op && (o.op == opAnd || o.op == opOr) && right.height < maxExprHeight {
			left.args = append(left.args, right)
			left.to = right.to
			left.height = max(left.height, right.height+1)
			continue
		}
		if left, err = p.build(o.op, int(left.from), int(right.to), left, right); err != nil {
			return nil, err
		}
	}
	return left, nil
}

func (p *exprParser) unary() (*expr, error) {
	if p.tok.kind != tokSign {
		return p.postfix()
	}
	o := findOperator(prefixes, p.tok.text)
	if o == nil {
		return p.postfix()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.nest-- }()
	from := p.tok.from
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.unary()
	if err != nil {
		return nil, err
	}
	return p.build(o.op, from, int(arg.to), arg)
}

func (p *exprParser) postfix() (*expr, error) {
	e, err := p.primary()
	for err == nil && p.tok.kind == tokSign {
		from := int(e.from)
		switch p.tok.text {
		case ".":
			if err := p.advance(); err != nil {
				return nil, err
			}
			if p.tok.kind != tokName {
				return nil, p.unexpected("the name of a property or method")
			}
			name, to := p.tok.text, p.tok.to
			if e, err = p.build(opProperty, from, to, e); err != nil {
				return nil, err
			}
			e.name = name
			err = p.advance()
		case "[":
			if err := p.advance(); err != nil {
				return nil, err
			}
			key, err := p.expression()
			if err != nil {
				return nil, err
			}
			to := p.tok.to
			if err := p.expect("]"); err != nil {
				return nil, err
			}
			if e, err = p.build(opIndex, from, to, e, key); err != nil {
				return nil, err
			}
		case "(":
			if err := p.advance(); err != nil {
				return nil, err
			}
			args, to, err := p.list(")")
			if err != nil {
				return nil, err
			}
			if e, err = p.build(opCall, from, to, append([]*expr{e}, args...)...); err != nil {
				return nil, err
			}
		default:
			return e, nil
		}
	}
	return e, err
}

// list reads expressions up to the bracket that ends them.
func (p *exprParser) list(end string) (list []*expr, to int, err error) {
	for !p.is(end) {
		e, err := p.expression()
		if err != nil {
			return nil, 0, err
		}
		list = append(list, e)
		if p.is(end) {
			break
		}
		if !p.is(",") {
			return nil, 0, p.unexpected("',' or '" + end + "'")
		}
		if err := p.advance(); err != nil {
			return nil, 0, err
		}
		if p.is(end) {
			return nil, 0, p.unexpected("an expression")
		}
	}
	to = p.tok.to
	return list, to, p.advance()
}

func (p *exprParser) primary() (*expr, error) {
	t := p.tok
	e := &expr{op: opLiteral, from: int32(t.from), to: int32(t.to)}
	switch t.kind {
	case tokNumber:
		e.typ, e.val = tNumber, t.num
		return e, p.advance()
	case tokString:
		e.typ, e.val = tString, stringVal(t.text)
		return e, p.advance()
	case tokName:
		switch t.text {
		case "true", "false":
			e.typ, e.val = tBool, boolVal(t.text == "true")
		case "null":
			e.typ = tNull
		case "in", "instanceof", "typeof", "void", "delete", "new",
			"var", "let", "const", "function", "return", "if", "for", "while", "do", "switch", "throw", "try", "class", "this", "with":
			return nil, p.unexpected("an expression")
		default:
			e.op, e.name = opName, t.text
		}
		return e, p.advance()
	case tokSign:
		switch {
		case t.text == "(":
			if err := p.advance(); err != nil {
				return nil, err
			}
			e, err := p.expression()
			if err != nil {
				return nil, err
			}
			e.from, e.to = int32(t.from), int32(p.tok.to)
			return e, p.expect(")")
		case t.text == "[":
			if err := p.advance(); err != nil {
				return nil, err
			}
			args, to, err := p.list("]")
			if err != nil {
				return nil, err
			}
			return p.build(opArray, t.from, to, args...)
		case strings.HasPrefix(t.text, "/"): // "/" or "/="
			pattern, flags, err := p.regexp(t.from)
			if err != nil {
				return nil, err
			}
			re, err := compileRegex(pattern, flags, t.from)
			if err != nil {
				return nil, err
			}
			e.op, e.typ, e.re, e.to = opRegexp, tRegexp, re, int32(p.pos)
			return e, p.advance()
		}
	}
	return nil, p.unexpected("an expression")
}
