package swagger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decodeYAML reads one YAML document. yaml.Node keeps aliases as they are and
// leaves scalars as text, so this package decides what both cost and mean.
func decodeYAML(data []byte) (doc any, err error) {
	// The library builds its nodes before anybody can count them; each needs at
	// least one of these in the text.
	marks := 0
	for _, c := range data {
		switch c {
		case '\n', ',', ':', '-', '?', '[', '{':
			marks++
		}
	}
	if marks > maxValues {
		return nil, refusal("more than %d values", maxValues)
	}
	defer func() {
		if p := recover(); p != nil { // the library panics on what it did not foresee
			doc, err = nil, refusal("not valid YAML: %v", p)
		}
	}()

	dec := yaml.NewDecoder(bytes.NewReader(data))
	var top, more yaml.Node
	if err := dec.Decode(&top); errors.Is(err, io.EOF) {
		return nil, refusal("the document is empty")
	} else if err != nil {
		return nil, refusal("not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); err == nil {
		return nil, refusal("line %d: a second YAML document begins; a bundle has one", more.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, refusal("not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}

	var r yamlReader
	if len(top.Content) != 1 {
		return nil, refusal("the document is empty")
	}
	doc, err = r.value(top.Content[0], 0)
	if err != nil && !errors.Is(err, errTooMuch) {
		return nil, refusal("not valid YAML: %v", err)
	}
	if len(r.probs) > 0 {
		return nil, &Error{Problems: r.probs}
	}
	return doc, nil
}

// yamlReader turns nodes into values. An alias is expanded anew at each use and
// paid for each time; one that holds itself runs into the depth.
type yamlReader struct{ budget }

func (r *yamlReader) value(n *yaml.Node, depth int) (any, error) {
	switch n.Kind {
	case yaml.AliasNode:
		// An alias of an alias of ... costs depth too, or it would never end.
		if err := r.spend(depth, 0); err != nil {
			return nil, err
		}
		return r.value(n.Alias, depth+1)
	case yaml.SequenceNode:
		if err := r.spend(depth, 1); err != nil {
			return nil, err
		}
		list := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := r.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case yaml.MappingNode:
		if err := r.spend(depth, 1); err != nil {
			return nil, err
		}
		return r.mapping(n, depth)
	case yaml.ScalarNode:
		v := r.scalar(n)
		return v, r.spend(depth, len(n.Value))
	}
	return nil, fmt.Errorf("line %d: unexpected node", n.Line)
}

// mapping reads an object. Merge keys (https://yaml.org/type/merge.html) give
// what the mapping does not say itself, the first source before the later ones.
func (r *yamlReader) mapping(n *yaml.Node, depth int) (map[string]any, error) {
	object := make(map[string]any, len(n.Content)/2)
	var merge *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		keyNode, valueNode := n.Content[i], n.Content[i+1]
		for hops := 0; keyNode.Kind == yaml.AliasNode && hops < maxDepth; hops++ {
			keyNode = keyNode.Alias
		}
		if keyNode.Kind != yaml.ScalarNode || keyNode.ShortTag() == "!!null" {
			r.problem("line %d: a key is not a word", keyNode.Line)
			continue
		}
		if keyNode.ShortTag() == "!!merge" {
			if merge != nil {
				r.problem("line %d: the key %s appears twice in one object", keyNode.Line, quote(keyNode.Value))
			}
			merge = valueNode
			continue
		}
		key := keyNode.Value // as written: 200 becomes "200"
		r.bytes += len(key) + 3
		if _, twice := object[key]; twice {
			r.problem("line %d: the key %s appears twice in one object", keyNode.Line, quote(key))
		}
		v, err := r.value(valueNode, depth+1)
		if err != nil {
			return nil, err
		}
		object[key] = v
	}
	if merge == nil {
		return object, nil
	}

	source, err := r.value(merge, depth+1)
	if err != nil {
		return nil, err
	}
	sources, many := source.([]any)
	if !many {
		sources = []any{source}
	}
	for _, s := range sources {
		from, ok := s.(map[string]any)
		if !ok {
			r.problem("line %d: << merges something that is not an object", merge.Line)
			continue
		}
		for key, v := range from {
			if _, own := object[key]; !own {
				object[key] = v
			}
		}
	}
	return object, nil
}

// jsonNumber is the grammar of a number in JSON (RFC 8259, section 6).
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// scalar reads a word. Timestamps and binary data stay the text that they are:
// JSON has neither, and an API version such as 2016-12-09 is meant as text.
func (r *yamlReader) scalar(n *yaml.Node) any {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if err := n.Decode(&b); err != nil {
			r.problem("line %d: %s is not true or false", n.Line, quote(n.Value))
		}
		return b
	case "!!int", "!!float":
		return r.number(n)
	case "!!str", "!!timestamp", "!!binary", "!!merge":
		return n.Value
	default:
		r.problem("line %d: the tag %s means nothing here", n.Line, quote(tag))
		return nil
	}
}

// number writes what YAML takes for a number (0x1F, 1_000, +.5) as JSON does,
// and keeps the digits of one that is JSON already.
func (r *yamlReader) number(n *yaml.Node) any {
	text := n.Value
	if !jsonNumber.MatchString(text) {
		plain := strings.ReplaceAll(text, "_", "")
		if i, ok := new(big.Int).SetString(plain, 0); ok {
			text = i.String()
		} else {
			f, err := strconv.ParseFloat(plain, 64)
			b, jsonErr := json.Marshal(f)
			if err != nil || jsonErr != nil { // .inf, .nan
				r.problem("line %d: %s is not a number that JSON has", n.Line, quote(text))
				return nil
			}
			text = string(b)
		}
	}
	if err := finite(text); err != nil {
		r.problem("line %d: %v", n.Line, err)
		return nil
	}
	return json.Number(text)
}
