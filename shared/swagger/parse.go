package swagger

import (
	"context"

	"github.com/go-openapi/strfmt"
	"github.com/go-openapi/validate"
)

// Parse reads a Swagger 2.0 document, JSON or YAML. The error is an *Error that
// names everything for which the document was refused.
func Parse(data []byte) (*Document, error) {
	return nil, &Error{Problems: []string{"empty"}}
}

// Findings is go-openapi's full validation.
func (d *Document) Findings(ctx context.Context) (findings []string, complete bool) {
	return nil, false
}

// Validator makes a validator for the body.
func (b *Body) Validator(formats strfmt.Registry, options ...validate.Option) *validate.SchemaValidator {
	return validate.NewSchemaValidator(b.Schema, b.Root, "", formats, options...)
}
