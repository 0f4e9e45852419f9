package bind

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-openapi/spec"
	"github.com/go-openapi/validate"
)

// kinds is a set of the types that a value may have.
type kinds uint16

const (
	stringKind kinds = 1 << iota
	integerKind
	numberKind
	booleanKind
	arrayKind
	objectKind
	nullKind
	fileKind
)

var kindNames = []struct {
	kind          kinds
	name, phrased string
}{
	{stringKind, "string", "a string"},
	{integerKind, "integer", "an integer"},
	{numberKind, "number", "a number"},
	{booleanKind, "boolean", "true or false"},
	{arrayKind, "array", "an array"},
	{objectKind, "object", "an object"},
	{nullKind, "null", "null"},
	{fileKind, "file", "a file"},
}

func kindOf(name string) kinds {
	for _, k := range kindNames {
		if k.name == name {
			return k.kind
		}
	}
	return 0
}

// mustBe is the message for a value that is none of k.
func (k kinds) mustBe() string {
	var names []string
	for _, n := range kindNames {
		if k&n.kind != 0 {
			names = append(names, n.phrased)
		}
	}
	return "must be " + strings.Join(names, " or ")
}

// keywords are the constraints that parameters and schemas share (Swagger 2.0,
// "Parameter Object" and "Schema Object"; JSON Schema Validation draft 4), each
// with the message for who breaks it. Numbers are compared exactly, lengths are
// counted in code points.
type keywords struct {
	kinds    kinds // 0 where every type will do
	mismatch string

	minimum, maximum     *bound
	multipleOf           float64 // 0: none
	multipleMsg          string
	width                *width
	minLength, maxLength *size
	pattern              *regexp.Regexp
	patternMsg           string
	format               func(string) bool
	formatMsg            string
	minItems, maxItems   *size
	unique               bool
	enum                 *enum
}

type bound struct {
	limit     float64
	exclusive bool
	message   string
}

type size struct {
	n       int64
	message string
}

// width is the range that a format leaves to a number. Nobody else checks it:
// go-openapi takes any int64 in a body for an int32.
type width struct {
	min, max float64
	message  string
}

var widths = map[string]*width{
	"int32":   {math.MinInt32, math.MaxInt32, "must be an integer of 32 bits"},
	"uint32":  {0, math.MaxUint32, "must be an integer of 32 bits without a sign"},
	"float":   {-math.MaxFloat32, math.MaxFloat32, "must be a number that a 32-bit float can hold"},
	"float32": {-math.MaxFloat32, math.MaxFloat32, "must be a number that a 32-bit float can hold"},
}

// newKeywords prepares the keywords that v, kinds and format stand for. What
// cannot be checked is warned of.
func newKeywords(v *spec.CommonValidations, k kinds, format string, warn func(string)) keywords {
	w := keywords{kinds: k, mismatch: k.mustBe(), unique: v.UniqueItems}
	if v.Minimum != nil {
		w.minimum = &bound{*v.Minimum, v.ExclusiveMinimum, "must be at least " + formatFloat(*v.Minimum)}
		if v.ExclusiveMinimum {
			w.minimum.message = "must be more than " + formatFloat(*v.Minimum)
		}
	}
	if v.Maximum != nil {
		w.maximum = &bound{*v.Maximum, v.ExclusiveMaximum, "must be at most " + formatFloat(*v.Maximum)}
		if v.ExclusiveMaximum {
			w.maximum.message = "must be less than " + formatFloat(*v.Maximum)
		}
	}
	if v.MultipleOf != nil {
		if *v.MultipleOf > 0 {
			w.multipleOf, w.multipleMsg = *v.MultipleOf, "must be a multiple of "+formatFloat(*v.MultipleOf)
		} else {
			warn("multipleOf is not above 0 and is not checked")
		}
	}
	w.minLength = newSize(v.MinLength, "must be at least %d characters long")
	w.maxLength = newSize(v.MaxLength, "must be at most %d characters long")
	w.minItems = newSize(v.MinItems, "must have at least %d items")
	w.maxItems = newSize(v.MaxItems, "must have at most %d items")
	if v.Pattern != "" {
		re, err := compilePattern(v.Pattern)
		if err != nil {
			warn(fmt.Sprintf("pattern %q is not an RE2 expression and is not checked", v.Pattern))
		} else {
			w.pattern, w.patternMsg = re, "must match "+v.Pattern
		}
	}
	if k == 0 || k&(integerKind|numberKind) != 0 {
		w.width = widths[format]
	}
	if k == 0 || k&stringKind != 0 {
		if w.format = formatCheck(format); w.format != nil {
			w.formatMsg = "must be of the format " + format
		}
	}
	w.enum = newEnum(v.Enum)
	return w
}

func newSize(n *int64, message string) *size {
	if n == nil {
		return nil
	}
	return &size{*n, fmt.Sprintf(message, *n)}
}

func formatFloat(f float64) string {
	if n := numberOf(f); n.isInt {
		return strconv.FormatInt(n.i, 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// trivial reports whether every value passes.
func (w *keywords) trivial() bool {
	return w.kinds == 0 && w.minimum == nil && w.maximum == nil && w.multipleOf == 0 && w.width == nil &&
		w.minLength == nil && w.maxLength == nil && w.pattern == nil && w.format == nil &&
		w.minItems == nil && w.maxItems == nil && !w.unique && w.enum == nil
}

func (w *keywords) checkNumber(n number, r reporter) {
	if b := w.minimum; b != nil {
		if c := n.compare(b.limit); c < 0 || c == 0 && b.exclusive {
			r.fail(b.message)
		}
	}
	if b := w.maximum; b != nil {
		if c := n.compare(b.limit); c > 0 || c == 0 && b.exclusive {
			r.fail(b.message)
		}
	}
	if w.width != nil && (n.compare(w.width.min) < 0 || n.compare(w.width.max) > 0) {
		r.fail(w.width.message)
	}
	if w.multipleOf > 0 && !n.multipleOf(w.multipleOf) {
		r.fail(w.multipleMsg)
	}
	if w.enum != nil && !w.enum.hasNumber(n) {
		r.fail(w.enum.message)
	}
}

// multipleOf is exact between integers, and within go-openapi's tolerance
// otherwise: 0.3 is a multiple of 0.1.
func (n number) multipleOf(factor float64) bool {
	if f := numberOf(factor); n.isInt && f.isInt {
		return n.i%f.i == 0
	}
	return validate.MultipleOf("", "", n.f, factor) == nil
}

// checkText checks what can be said of a string's text, its enum apart.
func (w *keywords) checkText(text []byte, r reporter) {
	if w.minLength != nil || w.maxLength != nil {
		n := int64(utf8.RuneCount(text))
		if w.minLength != nil && n < w.minLength.n {
			r.fail(w.minLength.message)
		}
		if w.maxLength != nil && n > w.maxLength.n {
			r.fail(w.maxLength.message)
		}
	}
	if w.pattern != nil && !w.pattern.Match(text) {
		r.fail(w.patternMsg)
	}
	if w.format != nil && !w.format(string(text)) {
		r.fail(w.formatMsg)
	}
}

func (w *keywords) checkCount(n int64, r reporter) {
	if w.minItems != nil && n < w.minItems.n {
		r.fail(w.minItems.message)
	}
	if w.maxItems != nil && n > w.maxItems.n {
		r.fail(w.maxItems.message)
	}
}

// enum is a set of JSON values.
type enum struct {
	text      map[string]bool // strings
	numbers   []number
	canonical map[string]bool // everything, in canonical form
	message   string
}

func newEnum(values []any) *enum {
	if len(values) == 0 {
		return nil
	}
	e := &enum{text: make(map[string]bool), canonical: make(map[string]bool)}
	var shown []string
	for _, v := range values {
		text, err := asciiJSON(v)
		if err != nil {
			continue // no request can hold what JSON cannot
		}
		if s, ok := v.(string); ok {
			e.text[s] = true
			shown = append(shown, s)
		} else {
			shown = append(shown, string(text))
		}
		if n, ok := parseNumber(text); ok && isNumber(text) {
			e.numbers = append(e.numbers, n)
		}
		e.canonical[string(canonicalJSON(nil, text))] = true
	}
	const most = 20
	if len(shown) > most {
		shown = append(shown[:most], "...")
	}
	e.message = "must be one of " + strings.Join(shown, ", ")
	return e
}

// addText lets the set hold its numbers and booleans as text too: the enum of a
// string parameter written as [1, 2] in YAML means "1" and "2".
func (e *enum) addText() {
	for c := range e.canonical {
		if c[0] != '"' {
			e.text[c] = true
		}
	}
}

func (e *enum) hasNumber(n number) bool {
	for _, m := range e.numbers {
		if m.equal(n) {
			return true
		}
	}
	return false
}

// hasJSON is for values that are neither strings nor numbers. text must be valid.
func (e *enum) hasJSON(text []byte) bool {
	return e.canonical[string(canonicalJSON(nil, text))]
}

// distinct finds equal items of an array. It knows values by a 64-bit hash that
// nobody outside can predict, so that an array of millions costs a few bytes an
// item; that it confuses two of a million items is one chance in 10^7.
type distinct struct {
	seen map[uint64]struct{}
	text []byte
}

var hashSeed = maphash.MakeSeed()

func newDistinct() *distinct { return &distinct{seen: make(map[uint64]struct{})} }

// add reports whether the item, valid JSON, is unlike all before it.
func (d *distinct) add(item []byte) bool {
	switch c := item[0]; {
	case c == '"' && bytes.IndexByte(item, '\\') < 0, c == 't', c == 'f', c == 'n':
		d.text = append(d.text[:0], item...)
	case c == '"':
		d.text = append(unescape(append(d.text[:0], '"'), item[1:len(item)-1]), '"')
	case c == '{', c == '[':
		d.text = canonicalJSON(d.text[:0], item)
	default:
		n, _ := parseNumber(item)
		d.text = n.appendCanonical(d.text[:0])
	}
	h := maphash.Bytes(hashSeed, d.text)
	_, known := d.seen[h]
	d.seen[h] = struct{}{}
	return !known
}

// Messages without a number in them.
const (
	duplicateMsg = "must not hold the same item twice"
	tooLongMsg   = "must be an integer of 64 bits"
	tooLargeMsg  = "must be a number that a 64-bit float can hold"
)
