package bind

import "bytes"

// walker checks a JSON text against a schema where it lies, without decoding it
// into values: it takes no memory for what the schema does not make it compare,
// and looks into nothing that the schema does not speak of.
type walker struct {
	body  []byte // valid JSON in UTF-8
	out   *collector
	path  []step // to the value at hand
	depth int    // of objects and arrays
	steps int    // left to do, see check
	trial int    // above 0 while an alternative is being tried: nothing is reported
	done  bool   // the rest does not matter any more
	dead  bool   // done for good
	seen  []bool // required members of the objects at hand
	text  []byte // the last string with escapes
}

// step is one member or item on the way to a value.
type step struct {
	key   []byte // nil for an item
	index int
}

// check reports every violation in body, which must be valid JSON in UTF-8.
//
// Alternatives inside alternatives can make a value be looked at over and over,
// exponentially often where a schema refers to itself. So the work is bounded
// by a budget that grows with the body, and that only such schemas exceed.
func (w *walker) check(s *schema, body []byte, out *collector) {
	w.body, w.out = body, out
	w.steps = 100_000 + 16*len(body)
	w.value(s, w.space(0))
}

// reset forgets the request.
func (w *walker) reset() {
	clear(w.path[:cap(w.path)])
	*w = walker{path: w.path[:0], seen: w.seen[:0], text: w.text[:0]}
	if cap(w.path)+cap(w.seen)+cap(w.text) > 64<<10 {
		*w = walker{}
	}
}

// fail implements reporter for the value at hand.
func (w *walker) fail(message string) {
	if w.done {
		return
	}
	if w.trial > 0 {
		w.done = true
		return
	}
	w.report(message)
}

func (w *walker) report(message string) {
	name := w.out.name
	if len(w.path) > 0 {
		name = w.pathName()
	}
	w.out.add(Violation{"body", name, message})
	w.done = w.out.full
}

// giveUp ends the check, from inside an alternative, too.
func (w *walker) giveUp(message string) {
	if !w.dead {
		w.report(message)
	}
	w.done, w.dead = true, true
}

// pathName is the path of the value at hand, "items[0].name", cut at 200 bytes.
func (w *walker) pathName() string {
	const most = 200
	var b []byte
	for i, s := range w.path {
		switch {
		case s.key == nil:
			b = append(b, '[')
			b = append(b, itoa(s.index)...)
			b = append(b, ']')
		case i > 0:
			b = append(append(b, '.'), s.key...)
		default:
			b = append(b, s.key...)
		}
		if len(b) > most {
			return string(bytes.ToValidUTF8(b[:most], nil)) + "..."
		}
	}
	return string(b)
}

// value checks the value at i and returns where it ends.
func (w *walker) value(s *schema, i int) int {
	if s == nil {
		return w.skip(i)
	}
	if w.steps--; w.steps < 0 {
		w.giveUp("is too complex to be checked against its schema")
	}
	if w.done {
		return i
	}
	end := i
	switch c := w.body[i]; {
	case c == 'n':
		if s.nullable {
			return i + len("null")
		}
		end = i + len("null")
		if !w.isOf(s, nullKind) {
			return end
		}
		w.checkEnum(s, i, end)
	case c == 't' || c == 'f':
		if end = i + len("true"); c == 'f' {
			end++
		}
		if !w.isOf(s, booleanKind) {
			return end
		}
		w.checkEnum(s, i, end)
	case c == '"':
		end = w.stringEnd(i)
		if !w.isOf(s, stringKind) {
			return end
		}
		w.checkString(s, w.body[i+1:end-1])
	case c == '{':
		if !w.isOf(s, objectKind) {
			return w.skip(i)
		}
		end = w.object(s, i)
		w.checkEnum(s, i, end)
	case c == '[':
		if !w.isOf(s, arrayKind) {
			return w.skip(i)
		}
		end = w.array(s, i)
		w.checkEnum(s, i, end)
	default:
		end = w.numberEnd(i)
		if !w.checkNumber(s, w.body[i:end]) {
			return end
		}
	}
	w.parts(s, i)
	return end
}

// isOf checks the type.
func (w *walker) isOf(s *schema, k kinds) bool {
	if s.kinds == 0 || s.kinds&k != 0 {
		return true
	}
	w.fail(s.mismatch)
	return false
}

func (w *walker) checkEnum(s *schema, i, end int) {
	if s.enum != nil && !w.done && !s.enum.hasJSON(w.body[i:end]) {
		w.fail(s.enum.message)
	}
}

// checkString checks a string given as it stands between its quotes.
func (w *walker) checkString(s *schema, raw []byte) {
	if bytes.IndexByte(raw, '\\') >= 0 {
		w.text = unescape(w.text[:0], raw)
		raw = w.text
	}
	s.checkText(raw, w)
	if s.enum != nil && !s.enum.text[string(raw)] {
		w.fail(s.enum.message)
	}
}

// checkNumber reports whether text is of the right type.
func (w *walker) checkNumber(s *schema, text []byte) bool {
	n, ok := parseNumber(text)
	switch {
	case s.kinds != 0 && s.kinds&(integerKind|numberKind) == 0:
		w.fail(s.mismatch)
	case !ok:
		w.fail(tooLargeMsg)
	case s.kinds != 0 && s.kinds&numberKind == 0 && !n.isInt && isInteger(text):
		w.fail(tooLongMsg)
	case s.kinds != 0 && s.kinds&numberKind == 0 && !n.isInt:
		w.fail(s.mismatch)
	default:
		s.checkNumber(n, w)
		return true
	}
	return false
}

// parts checks the value at i against the schemas that s is made of.
func (w *walker) parts(s *schema, i int) {
	for _, part := range s.allOf {
		if w.done {
			return
		}
		w.value(part, i)
	}
	if len(s.anyOf) > 0 && !w.done {
		fits := false
		for _, part := range s.anyOf {
			if fits = w.fits(part, i); fits {
				break
			}
		}
		if !fits {
			w.fail("fits none of the " + itoa(len(s.anyOf)) + " forms it may have")
		}
	}
	if len(s.oneOf) > 0 && !w.done {
		n := 0
		for _, part := range s.oneOf {
			if w.fits(part, i) {
				n++
			}
		}
		switch {
		case n == 0:
			w.fail("fits none of the " + itoa(len(s.oneOf)) + " forms it may have")
		case n > 1:
			w.fail("fits " + itoa(n) + " of the forms it may have, but must fit exactly one")
		}
	}
	if s.not != nil && !w.done && w.fits(s.not, i) {
		w.fail("has a form that it must not have")
	}
}

// fits tries s on the value at i and reports nothing. It leaves off at the first
// failure, wherever that is, and so puts back what it finds.
func (w *walker) fits(s *schema, i int) bool {
	if w.dead {
		return true
	}
	path, depth, seen := len(w.path), w.depth, len(w.seen)
	w.trial++
	w.value(s, i)
	w.trial--
	fits := !w.done
	w.done = w.dead
	w.path, w.depth, w.seen = w.path[:path], depth, w.seen[:seen]
	return fits
}

// object checks the object at i and returns where it ends.
func (w *walker) object(s *schema, i int) int {
	if !w.enter() {
		return i
	}
	base := len(w.seen)
	for range s.required {
		w.seen = append(w.seen, false)
	}
	count := int64(0)
	i = w.space(i + 1)
	for w.body[i] != '}' {
		if w.body[i] == ',' {
			i = w.space(i + 1)
		}
		end := w.stringEnd(i)
		key := w.body[i+1 : end-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			key = unescape(nil, key)
		}
		i = w.space(w.space(end) + 1) // over the colon
		w.path = append(w.path, step{key: key})
		end = w.member(s, base, key, i)
		if w.done {
			return i
		}
		w.path = w.path[:len(w.path)-1]
		count++
		i = w.space(end)
	}
	for n, name := range s.required {
		if !w.seen[base+n] {
			w.path = append(w.path, step{key: []byte(name)})
			w.fail("is required")
			w.path = w.path[:len(w.path)-1]
		}
	}
	w.seen = w.seen[:base]
	if s.minProps != nil && count < s.minProps.n {
		w.fail(s.minProps.message)
	}
	if s.maxProps != nil && count > s.maxProps.n {
		w.fail(s.maxProps.message)
	}
	w.depth--
	return i + 1
}

// member checks the value at i, which is the object's member key, and returns
// where it ends. Of a name that occurs twice, both values are checked.
func (w *walker) member(s *schema, base int, key []byte, i int) int {
	end := -1
	if p, ok := s.props[string(key)]; ok {
		if p.required > 0 {
			w.seen[base+p.required-1] = true
		}
		if p.declared {
			end = w.value(p.schema, i)
		}
	}
	for _, p := range s.patterns {
		if !w.done && p.re.Match(key) {
			end = w.value(p.schema, i)
		}
	}
	if end < 0 {
		if s.closed {
			w.fail("is not allowed")
		}
		end = w.value(s.rest, i)
	}
	return end
}

// array checks the array at i and returns where it ends.
func (w *walker) array(s *schema, i int) int {
	if !w.enter() {
		return i
	}
	var seen *distinct
	twice := false
	count := 0
	i = w.space(i + 1)
	for w.body[i] != ']' {
		if w.body[i] == ',' {
			i = w.space(i + 1)
		}
		w.path = append(w.path, step{index: count})
		item := s.items
		if count < len(s.tuple) {
			item = s.tuple[count]
		} else if len(s.tuple) > 0 {
			item = s.restItems
			if s.shut {
				w.fail("is not allowed")
			}
		}
		end := w.value(item, i)
		if w.done {
			return i
		}
		w.path = w.path[:len(w.path)-1]
		if s.unique && !twice {
			if seen == nil {
				seen = newDistinct()
			}
			if twice = !seen.add(w.body[i:end]); twice {
				w.fail(duplicateMsg)
			}
		}
		count++
		i = w.space(end)
	}
	s.checkCount(int64(count), w)
	w.depth--
	return i + 1
}

// enter goes one object or array deeper, if it may.
func (w *walker) enter() bool {
	if w.depth++; w.depth > MaxDepth {
		w.giveUp("is nested more than " + itoa(MaxDepth) + " levels deep")
	}
	return !w.done
}
