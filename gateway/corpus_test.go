package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/spec"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/shared/envelope"
	"github.com/funcatron/funcatron/shared/swagger"
	"github.com/funcatron/funcatron/shared/wire"
)

// The real documents of FUNCATRON_REFERENCE, a folder that is not ours to publish:
// each is refused with its reasons or taken within 2 s, and of those taken every
// operation is reached through a gateway by a request made of its own parameters.
func TestCorpusIsReachable(t *testing.T) {
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("FUNCATRON_REFERENCE is not set: no documents to serve")
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, "swagger-corpus", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s/swagger-corpus: %v", dir, err)
	}
	r := newRig(t, nil)
	docs := map[string]*swagger.Document{} // by deployment
	var rows []wire.RouteItem
	refused := 0
	for i, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		doc, err := swagger.Parse(data)
		took := time.Since(began)
		if took > 2*time.Second*slack {
			t.Errorf("%s: decided after %v", filepath.Base(name), took)
		}
		if err != nil {
			refused++
			t.Logf("%s: refused within %v: %v", filepath.Base(name), took.Round(time.Millisecond), err)
			continue
		}
		doc = open(t, doc)
		row := wire.RouteItem{Deployment: filepath.Base(name), Sha: sha(100 + i), BasePath: fmt.Sprintf("/c%d", i), Queue: fmt.Sprintf("req.c%d", i)}
		r.tron.mu.Lock()
		r.tron.docs[row.Sha] = doc.JSON
		r.tron.mu.Unlock()
		r.serve(row.Queue, func(c *dispatch.Call) {
			_, rest, _ := bytes.Cut(c.Header, []byte("X-Funcatron-Operation: "))
			op, _, _ := bytes.Cut(rest, []byte("\r\n"))
			c.Reply(&envelope.Response{Status: 299, Header: []byte("X-Reached: " + string(op) + "\r\n")})
		})
		docs[row.Deployment] = doc
		rows = append(rows, row)
	}
	r.tron.change(t, rows...)

	reached, checked := 0, 0
	for _, row := range rows {
		for _, op := range docs[row.Deployment].Operations {
			req := request(t, r.url+row.BasePath, op)
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %s %s: %v", row.Deployment, op.Method, op.Path, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			switch {
			case resp.StatusCode == 299 && resp.Header.Get("X-Reached") == op.ID:
				reached++
			case resp.StatusCode == 400 && bytes.Contains(body, []byte(`"errors":[{"in":`)):
				checked++ // docker.json consumes JSON where it wants a Content-Type of application/tar
				t.Logf("%s: %s %s: its own checks answer %s", row.Deployment, op.Method, req.URL, body)
			default:
				t.Errorf("%s: %s %s (%s): %d, reached %q: %s", row.Deployment, op.Method, req.URL, op.ID, resp.StatusCode, resp.Header.Get("X-Reached"), body)
			}
		}
	}
	t.Logf("%d documents: %d taken, %d refused; of their operations the function got %d, and the checks of %d answered", len(files), len(rows), refused, reached, checked)
	if reached < 100 || checked > reached/20 {
		t.Errorf("%d reached, %d answered by their checks: are the requests any good?", reached, checked)
	}
}

// slack is for machines that are slow, or busy, or look for races.
const slack = 10

// open is the document without what it says of security: who may call is another
// matter than where a call goes.
func open(t *testing.T, doc *swagger.Document) *swagger.Document {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(doc.JSON, &root); err != nil {
		t.Fatal(err)
	}
	delete(root, "security")
	delete(root, "securityDefinitions")
	for _, item := range root["paths"].(map[string]any) {
		item, _ := item.(map[string]any)
		for _, op := range item {
			if op, ok := op.(map[string]any); ok {
				delete(op, "security")
			}
		}
	}
	data, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	again, err := swagger.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// request is one that op should take.
func request(t *testing.T, base string, op *swagger.Operation) *http.Request {
	t.Helper()
	path := op.Path
	query, form := url.Values{}, url.Values{}
	header := http.Header{}
	file := false
	for _, p := range op.Params {
		value := simple(&p.SimpleSchema, &p.CommonValidations)
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(value))
		case p.In == "query" && p.Required:
			query.Set(p.Name, value)
		case p.In == "header" && p.Required:
			header.Set(p.Name, value)
		case p.In == "formData":
			form.Set(p.Name, value)
			file = file || p.Type == "file"
		}
	}
	for { // what the document does not declare is a string
		before, rest, found := strings.Cut(path, "{")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "}")
		path = before + "x" + after
	}
	var body []byte
	contentType := ""
	switch {
	case op.Body != nil && (op.Body.Required || len(op.Consumes) == 0 || takes(op, "application/json")):
		var err error
		if body, err = json.Marshal(example(op.Body.Schema, op.Body.Root, 0)); err != nil {
			t.Fatal(err)
		}
		contentType = "application/json"
		if !takes(op, contentType) && len(op.Consumes) > 0 {
			contentType = op.Consumes[0]
		}
	case len(form) > 0 && (file || !takes(op, "application/x-www-form-urlencoded") && takes(op, "multipart/form-data")):
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		for _, p := range op.Params {
			if p.In != "formData" {
				continue
			}
			if p.Type == "file" {
				part, err := w.CreateFormFile(p.Name, "x")
				if err == nil {
					_, err = part.Write([]byte("x"))
				}
				if err != nil {
					t.Fatal(err)
				}
			} else if err := w.WriteField(p.Name, form.Get(p.Name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		body, contentType = buf.Bytes(), w.FormDataContentType()
	case len(form) > 0:
		body, contentType = []byte(form.Encode()), "application/x-www-form-urlencoded"
	}
	target := base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequest(op.Method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	if contentType != "" && len(body) > 0 {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func takes(op *swagger.Operation, contentType string) bool {
	return slices.ContainsFunc(op.Consumes, func(c string) bool { return strings.HasPrefix(c, contentType) })
}

// simple is a value for a parameter, as text.
func simple(s *spec.SimpleSchema, v *spec.CommonValidations) string {
	if s.Type == "array" && len(v.Enum) == 0 {
		n := int64(1)
		if v.MinItems != nil {
			n = max(n, *v.MinItems)
		}
		separator := map[string]string{"ssv": " ", "tsv": "\t", "pipes": "|"}[s.CollectionFormat]
		if separator == "" {
			separator = ","
		}
		item := simple(&s.Items.SimpleSchema, &s.Items.CommonValidations)
		return strings.Repeat(item+separator, int(n-1)) + item
	}
	schema := spec.Schema{SchemaProps: spec.SchemaProps{
		Type: spec.StringOrArray{s.Type}, Format: s.Format, Enum: v.Enum, MinLength: v.MinLength, Pattern: v.Pattern,
		Minimum: v.Minimum, ExclusiveMinimum: v.ExclusiveMinimum, Maximum: v.Maximum, MultipleOf: v.MultipleOf,
	}}
	if s.Type == "file" {
		return "x"
	}
	return fmt.Sprint(example(&schema, nil, 0))
}

// example is a value that satisfies what most schemas ask for: as little as is
// required.
func example(s *spec.Schema, root *spec.Swagger, depth int) any {
	if depth > 20 {
		return nil
	}
	if s.Ref.String() != "" {
		target, err := spec.ResolveRef(root, &s.Ref)
		if err != nil {
			return nil
		}
		return example(target, root, depth+1)
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind := ""
	for _, t := range s.Type {
		if t != "null" {
			kind = t
			break
		}
	}
	switch kind {
	case "string":
		return word(s)
	case "number", "integer":
		return number(s)
	case "boolean":
		return true
	case "array":
		out := []any{}
		for i := int64(0); s.MinItems != nil && i < *s.MinItems && s.Items != nil && s.Items.Schema != nil; i++ {
			out = append(out, example(s.Items.Schema, root, depth+1))
		}
		return out
	}
	out := map[string]any{}
	members(s, root, depth, out)
	return out
}

// members puts in what s requires, itself and by allOf.
func members(s *spec.Schema, root *spec.Swagger, depth int, out map[string]any) {
	if depth > 20 {
		return
	}
	if s.Ref.String() != "" {
		if target, err := spec.ResolveRef(root, &s.Ref); err == nil {
			members(target, root, depth+1, out)
		}
		return
	}
	for i := range s.AllOf {
		members(&s.AllOf[i], root, depth+1, out)
	}
	for _, name := range s.Required {
		p, known := s.Properties[name]
		if !known {
			out[name] = "x"
			continue
		}
		out[name] = example(&p, root, depth+1)
	}
	if s.MinProperties != nil {
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			if int64(len(out)) >= *s.MinProperties {
				break
			}
			p := s.Properties[name]
			out[name] = example(&p, root, depth+1)
		}
	}
}

func word(s *spec.Schema) string {
	known := map[string]string{
		"date": "2016-12-09", "date-time": "2016-12-09T20:31:31Z", "uuid": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736", "email": "a@b.example",
		"uri": "http://a.example/", "url": "http://a.example/", "ipv4": "127.0.0.1", "ipv6": "::1", "hostname": "a.example", "byte": "eA==",
		"int64": "7", "int32": "7", "password": "x",
	}
	if v, ok := known[s.Format]; ok {
		return v
	}
	n := 1
	if s.MinLength != nil {
		n = max(n, int(*s.MinLength))
	}
	return strings.Repeat("x", n)
}

func number(s *spec.Schema) any {
	n := 1.0
	if s.Minimum != nil {
		n = math.Ceil(*s.Minimum)
		if s.ExclusiveMinimum {
			n++
		}
	}
	if s.Maximum != nil {
		n = min(n, math.Floor(*s.Maximum))
	}
	if s.MultipleOf != nil {
		n = math.Ceil(n / *s.MultipleOf) * *s.MultipleOf
	}
	return int64(n)
}
