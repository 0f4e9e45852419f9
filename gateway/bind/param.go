package bind

import (
	"fmt"

	"github.com/go-openapi/spec"

	"github.com/funcatron/funcatron/shared/swagger"
)

// param is one declared parameter outside the body.
type param struct {
	in, name   string
	member     []byte // `"name":`
	value      value
	multi      bool // collectionFormat multi: an array of the values of its repetitions
	required   bool
	allowEmpty bool
	def        []byte // JSON of the default, nil where there is none
}

// value is a parameter's type, or that of the items of an array.
type value struct {
	keywords
	separator byte // arrays: between items
	items     *value
}

// group is the parameters of one place, in the order of the document.
type group struct {
	params []*param
	index  map[string]int32
}

func (g *group) add(p *param) {
	if g.index == nil {
		g.index = make(map[string]int32)
	}
	g.index[p.name] = int32(len(g.params))
	g.params = append(g.params, p)
}

// stringParam is what a parameter that nobody declared is taken for.
func stringParam(in, name string) *param {
	p := &param{in: in, name: name}
	p.member = append(appendString(nil, []byte(name)), ':')
	p.value.kinds = stringKind
	return p
}

func newParam(decl *swagger.Parameter, warn func(where, what string)) (*param, error) {
	p := stringParam(decl.In, decl.Name)
	p.required = decl.Required
	p.allowEmpty = decl.AllowEmptyValue && (decl.In == "query" || decl.In == "formData")
	p.multi = decl.CollectionFormat == "multi" && decl.Type == "array" && (decl.In == "query" || decl.In == "formData")
	p.value = *newValue(&decl.SimpleSchema, &decl.CommonValidations, decl.In, func(what string) {
		warn(decl.In+" parameter "+decl.Name, what)
	})
	if decl.Default != nil && p.value.kinds != fileKind {
		var err error
		if p.def, err = asciiJSON(decl.Default); err != nil {
			return nil, fmt.Errorf("%s parameter %q: encode default: %w", decl.In, decl.Name, err)
		}
	}
	return p, nil
}

func newValue(s *spec.SimpleSchema, v *spec.CommonValidations, in string, warn func(string)) *value {
	k := kindOf(s.Type)
	switch {
	case k == 0 || k == objectKind || k == nullKind:
		warn(fmt.Sprintf("type %q is none of a parameter's and is taken for string", s.Type))
		k = stringKind
	case k == fileKind && in != "formData":
		warn("type file outside a form is taken for string")
		k = stringKind
	}
	out := &value{keywords: newKeywords(v, k, s.Format, warn)}
	if k == stringKind && out.enum != nil {
		out.enum.addText()
	}
	if k != arrayKind {
		return out
	}
	switch s.CollectionFormat {
	case "", "csv", "multi":
		out.separator = ','
		if s.CollectionFormat == "multi" && in != "query" && in != "formData" {
			warn("collectionFormat multi outside query and form is taken for csv")
		}
	case "ssv":
		out.separator = ' '
	case "tsv":
		out.separator = '\t'
	case "pipes":
		out.separator = '|'
	default:
		warn(fmt.Sprintf("collectionFormat %q is taken for csv", s.CollectionFormat))
		out.separator = ','
	}
	if s.Items == nil {
		warn("array without items: taken for strings")
		out.items = &value{keywords: keywords{kinds: stringKind}}
		return out
	}
	// Inside an array there is nothing to repeat: multi is not an Items Object's.
	out.items = newValue(&s.Items.SimpleSchema, &s.Items.CommonValidations, "items", warn)
	return out
}
