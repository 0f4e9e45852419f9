package swagger

import (
	"slices"
	"strings"
)

// maxPath is the longest template in bytes; requests with longer paths are
// refused by most of what stands before a gateway.
const maxPath = 4_096

// template reads a path (Swagger 2.0, Paths Object): the names of its
// parameters, in order, and its shape, in which all names are alike: of two
// paths of one shape no request could say which it means. A parameter may be a
// part of a segment ("/{name}.json", "/{a}-{b}") but not two next to each other,
// where nobody could say how to part them.
func (r *reader) template(where, path string) (names []string, shape string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		r.refuse(where, "does not begin with a slash")
		return nil, "", false
	}
	if len(path) > maxPath {
		r.refuse(where, "has %d bytes, more than %d", len(path), maxPath)
		return nil, "", false
	}
	before := len(r.problems)
	var b, literal strings.Builder
	rest := path
	for rest != "" {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			b.WriteString(rest)
			literal.WriteString(rest)
			break
		}
		b.WriteString(rest[:i])
		literal.WriteString(rest[:i])
		if rest[i] == '}' {
			r.refuse(where, "has a } that closes nothing")
			return nil, "", false
		}
		end := strings.IndexAny(rest[i+1:], "{}/")
		if end < 0 || rest[i+1+end] != '}' {
			r.refuse(where, "has a { that is not closed within its segment")
			return nil, "", false
		}
		name := rest[i+1 : i+1+end]
		switch {
		case name == "":
			r.refuse(where, "has a parameter without a name: {}")
		case slices.Contains(names, name):
			r.refuse(where, "has two parameters of the name %s", quote(name))
		case strings.HasSuffix(b.String(), "{}"):
			r.refuse(where, "has two parameters with nothing between them: nobody can tell where one ends")
		}
		names = append(names, name)
		b.WriteString("{}")
		literal.WriteByte('x')
		rest = rest[i+1+end+1:]
	}
	if why := badPath(literal.String()); why != "" {
		r.refuse(where, "%s", why)
	}
	return names, b.String(), len(r.problems) == before
}
