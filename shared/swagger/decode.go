package swagger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on what a document may make Parse hold. Real ones stay far below: a
// cluster's whole API of 500 operations has 100,000 values, nested 30 deep.
const (
	maxDepth  = 200
	maxValues = 1_000_000
)

// decode reads a document, JSON or YAML, into the types of encoding/json, with
// json.Number for numbers so that they keep their digits. The error is an *Error.
func decode(data []byte) (any, error) {
	if len(data) > MaxDocument {
		return nil, refusal("the document has %d bytes, more than the %d that are read", len(data), MaxDocument)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return nil, refusal("the document is empty")
	}
	if text[0] != '{' && text[0] != '[' {
		return decodeYAML(data)
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		// A YAML flow mapping begins like JSON. When it is not that either, the
		// JSON error is the one that helps.
		if doc, yamlErr := decodeYAML(data); yamlErr == nil {
			return doc, nil
		}
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
			return nil, refusal("not valid JSON: line %d: %v", line, err)
		}
		return nil, refusal("not valid JSON: %v", err)
	}
	return decodeJSON(data)
}

// refusal is an *Error with one problem.
func refusal(format string, args ...any) error {
	return &Error{Problems: []string{fmt.Sprintf(format, args...)}}
}

// budget bounds what decoding builds, however small the text is that asks for
// it: a YAML alias costs two bytes and may stand for a megabyte.
type budget struct {
	values int
	bytes  int
	probs  []string
}

var errTooMuch = errors.New("too much")

// spend accounts for one value at depth and the bytes of its text.
func (b *budget) spend(depth, size int) error {
	b.values++
	b.bytes += size + 1
	switch {
	case depth > maxDepth:
		b.problem("nested deeper than %d levels", maxDepth)
	case b.values > maxValues:
		b.problem("more than %d values, aliases expanded", maxValues)
	case b.bytes > MaxDocument:
		b.problem("more than %d bytes, aliases expanded", MaxDocument)
	default:
		return nil
	}
	return errTooMuch
}

func (b *budget) problem(format string, args ...any) {
	if len(b.probs) < maxProblems {
		b.probs = append(b.probs, fmt.Sprintf(format, args...))
	}
}

// jsonReader builds values from JSON that is known to be well-formed.
type jsonReader struct {
	budget
	data []byte
	dec  *json.Decoder

	line, offset int // where line last looked, so that it looks at each byte once
}

// at is the number of the line that was read last.
func (r *jsonReader) at() int {
	next := int(r.dec.InputOffset())
	r.line += bytes.Count(r.data[r.offset:next], []byte("\n"))
	r.offset = next
	return 1 + r.line
}

func decodeJSON(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, refusal("not valid JSON: not UTF-8")
	}
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	r.dec.UseNumber()
	doc, err := r.next(0)
	if err != nil && !errors.Is(err, errTooMuch) {
		return nil, refusal("not valid JSON: %v", err)
	}
	if len(r.probs) > 0 {
		return nil, &Error{Problems: r.probs}
	}
	return doc, nil
}

func (r *jsonReader) next(depth int) (any, error) {
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if err := r.spend(depth, 1); err != nil {
			return nil, err
		}
		if v == '[' {
			return r.array(depth)
		}
		return r.object(depth)
	case string:
		return v, r.spend(depth, len(v)+1)
	case json.Number:
		if err := finite(string(v)); err != nil {
			r.problem("line %d: %v", r.at(), err)
		}
		return v, r.spend(depth, len(v))
	default:
		return v, r.spend(depth, 3)
	}
}

func (r *jsonReader) array(depth int) (any, error) {
	list := []any{}
	for r.dec.More() {
		v, err := r.next(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := r.dec.Token()
	return list, err
}

func (r *jsonReader) object(depth int) (any, error) {
	object := map[string]any{}
	for r.dec.More() {
		token, err := r.dec.Token()
		if err != nil {
			return nil, err
		}
		key := token.(string) // a well-formed object has no other keys
		r.bytes += len(key) + 3
		if _, twice := object[key]; twice {
			r.problem("line %d: the key %s appears twice in one object", r.at(), quote(key))
		}
		v, err := r.next(depth + 1)
		if err != nil {
			return nil, err
		}
		object[key] = v
	}
	_, err := r.dec.Token()
	return object, err
}

// finite says whether a JSON number is one that a double can hold: all that
// checks requests computes with doubles.
func finite(number string) error {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return fmt.Errorf("the number %s is beyond what a 64-bit float holds", clip(number))
	}
	return nil
}

// encode writes a decoded document as JSON, keys in order, on one line.
func encode(doc any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// quote is a name for a message: quoted, and cut where somebody sends a novel.
func quote(s string) string { return strconv.Quote(clip(s)) }

func clip(s string) string {
	const longest = 120
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}
