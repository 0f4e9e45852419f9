package fn

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
)

// Func serves one operation. It may be called by several goroutines at once. A
// nil Response with a nil error is answered 204.
//
// A Func is an ordinary function, so what the original called middleware is a
// function from Func to Func.
type Func func(*Context) (*Response, error)

// Operations are a bundle's functions by operationId. An operation of the
// document that has no operationId goes by "METHOD path", its path as the
// document writes it: "GET /simple/{num}".
type Operations map[string]Func

// None is the In of a function that takes no body, or the Out of one that
// answers with none (204).
type None = struct{}

// Raw makes a Func of f as it is.
func Raw(f func(*Context) (*Response, error)) Func { return f }

// Typed makes a Func of one whose body comes and goes as values.
//
// In is what the body is read into: None leaves it alone, []byte and string take
// it as it stands, io.Reader reads it as it comes, and any other type is decoded
// from JSON; a body that is not JSON, or not of that type, is answered 400, and
// no body at all leaves In at its zero value. In an In of type any, numbers are
// json.Number, so that they keep their digits.
//
// Out is answered with status 200: a *Response as it says, []byte and io.Reader
// as application/octet-stream, string as text/plain, None and a nil pointer or interface
// with 204 and no body, and anything else as JSON, in which <, > and & stand for themselves.
// An Out of type any is answered by what it holds, so a function can return its
// data in one case and a *Response in another.
func Typed[In, Out any](f func(*Context, In) (Out, error)) Func {
	decode := decoderOf[In]()
	return func(ctx *Context) (*Response, error) {
		var in In
		if err := decode(ctx, &in); err != nil {
			return nil, err
		}
		out, err := f(ctx, in)
		if err != nil {
			return nil, err
		}
		return respond(out)
	}
}

func decoderOf[In any]() func(*Context, *In) error {
	switch any((*In)(nil)).(type) {
	case *None:
		return func(*Context, *In) error { return nil }
	case *io.Reader:
		return func(ctx *Context, in *In) error {
			*any(in).(*io.Reader) = ctx.req.Body
			return nil
		}
	case *[]byte:
		return func(ctx *Context, in *In) (err error) {
			*any(in).(*[]byte), err = ctx.Body()
			return err
		}
	case *string:
		return func(ctx *Context, in *In) error {
			body, err := ctx.Body()
			*any(in).(*string) = string(body)
			return err
		}
	}
	return func(ctx *Context, in *In) error {
		body, err := ctx.Body()
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
		if err := decodeJSON(body, in); err != nil {
			return &Error{Status: http.StatusBadRequest, Message: "the body is not what this operation takes: " + err.Error(), Err: err}
		}
		return nil
	}
}

// decodeJSON reads exactly one JSON value, numbers of no stated type as
// json.Number.
func decodeJSON(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || err == io.EOF {
			return errors.New("the JSON ends too early")
		}
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more follows after the JSON value")
	}
	return nil
}

func respond(out any) (*Response, error) {
	switch v := out.(type) {
	case nil:
		return nil, nil
	case *Response:
		return v, nil
	case Response:
		return &v, nil
	case None:
		return nil, nil
	case []byte:
		return &Response{Body: v}, nil
	case string:
		return &Response{ContentType: "text/plain; charset=utf-8", Body: []byte(v)}, nil
	case io.Reader:
		if isNil(v) {
			return nil, nil
		}
		return &Response{BodyReader: v}, nil
	}
	if isNil(out) {
		return nil, nil
	}
	return JSON(http.StatusOK, out)
}

// isNil leaves nil slices and maps alone: they are values, which JSON writes as
// null.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
