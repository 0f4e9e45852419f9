package bind

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"github.com/funcatron/funcatron/shared/swagger"
)

// bodyRule is an operation's body parameter.
type bodyRule struct {
	name     string
	required bool
	schema   *schema // nil where the content is not checked
	// assumeJSON: a body without a media type is taken for JSON, since that is
	// what the operation consumes (RFC 9110 section 8.3 leaves it to us).
	assumeJSON bool
}

func newBodyRule(op *swagger.Operation, shared *Schemas, warn func(where, what string)) (*bodyRule, error) {
	b := op.Body
	rule := &bodyRule{name: b.Name, required: b.Required}
	rule.assumeJSON = len(op.Consumes) == 0 || slices.ContainsFunc(op.Consumes, func(c string) bool { return isJSON([]byte(c)) })
	if b.Schema == nil || b.Schema.Type.Contains("file") || b.Schema.Type.Contains("string") && b.Schema.Format == "binary" {
		return rule, nil
	}
	c := &compiler{shared: shared, root: b.Root, warn: func(what string) { warn("body", what) }}
	s, err := c.compile(b.Schema)
	if err != nil {
		return nil, fmt.Errorf("body schema: %w", err)
	}
	rule.schema = s
	return rule, nil
}

// checkBody checks body where it is JSON. Other media types, XML among them,
// pass unchecked.
func (s *state) checkBody(req *fasthttp.Request, body []byte, rule *bodyRule) {
	s.found.at("body", rule.name)
	if len(body) == 0 {
		if rule.required {
			s.found.fail("is required")
		}
		return
	}
	contentType := req.Header.ContentType()
	if !isJSON(contentType) && (len(contentType) > 0 || !rule.assumeJSON) {
		return
	}
	if rule.schema == nil {
		return
	}
	body, ok := s.inflate(req, body)
	switch {
	case !ok:
	case !json.Valid(body):
		s.found.fail(whyInvalid(body))
	case !utf8.Valid(body):
		s.found.fail("must be UTF-8") // RFC 8259 section 8.1
	default:
		s.walk.check(rule.schema, body, &s.found)
	}
}

func whyInvalid(body []byte) string {
	var v json.RawMessage
	err := json.Unmarshal(body, &v)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("is not valid JSON: byte %d: %v", syntax.Offset, err)
	}
	return "is not valid JSON"
}

// inflate undoes the body's Content-Encoding. A body that cannot be looked into
// is refused: what is declared to be checked must not get by unchecked.
func (s *state) inflate(req *fasthttp.Request, body []byte) ([]byte, bool) {
	encoding := req.Header.ContentEncoding()
	if len(encoding) == 0 || bytes.EqualFold(encoding, []byte("identity")) {
		return body, true
	}
	plain, err := req.BodyUncompressedWithLimit(MaxInflated)
	switch {
	case err == nil:
		return plain, true
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		s.found.fail("is larger than " + itoa(MaxInflated>>20) + " MiB once unpacked")
	case errors.Is(err, fasthttp.ErrContentEncodingUnsupported):
		s.found.fail("has a Content-Encoding that cannot be checked; gzip, deflate, br and zstd can")
	default:
		s.found.fail("is not valid in its Content-Encoding")
	}
	return nil, false
}

// isJSON reports whether a Content-Type is JSON: application/json, text/json or
// a +json suffix (RFC 6839 section 3.1).
func isJSON(contentType []byte) bool {
	t := bareType(contentType)
	return bytes.EqualFold(t, []byte("application/json")) || bytes.EqualFold(t, []byte("text/json")) ||
		len(t) > 5 && bytes.EqualFold(t[len(t)-5:], []byte("+json")) && bytes.IndexByte(t, '/') > 0
}

func isMediaType(contentType []byte, want string) bool {
	return bytes.EqualFold(bareType(contentType), []byte(want))
}

// bareType is a Content-Type without its parameters.
func bareType(contentType []byte) []byte {
	t, _, _ := bytes.Cut(contentType, []byte{';'})
	return bytes.TrimSpace(t)
}
