package swagger

import (
	"mime"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// hostName is a name or IPv4 address; a router compares it, nobody resolves it.
var hostName = regexp.MustCompile(`^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$`)

// host reads the document's host (Swagger 2.0, Swagger Object): a name or an
// address, perhaps with a port, in lower case.
func (r *reader) host() string {
	host := strings.ToLower(r.text("document", r.root, "host"))
	if host == "" {
		return ""
	}
	name, port := host, ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || port[0] == '+' {
			r.refuse("host", "%s has no valid port", quote(host))
			return ""
		}
	}
	inner, bracketed := strings.CutPrefix(name, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if bracketed && closed && strings.Contains(inner, ":") && net.ParseIP(inner) != nil {
		return host
	}
	if len(name) > 253 || !hostName.MatchString(name) {
		r.refuse("host", "%s is not a host name or address (no scheme, no path)", quote(host))
		return ""
	}
	return host
}

// basePath reads the document's basePath without the slash at its end.
func (r *reader) basePath() string {
	base := r.text("document", r.root, "basePath")
	if base == "" {
		return ""
	}
	if base[0] != '/' {
		r.refuse("basePath", "%s does not begin with a slash", quote(base))
		return ""
	}
	if strings.ContainsAny(base, "{}") {
		r.refuse("basePath", "%s is a template, which a basePath cannot be", quote(base))
		return ""
	}
	base = strings.TrimSuffix(base, "/")
	if why := badPath(base); why != "" {
		r.refuse("basePath", "%s %s", quote(base), why)
		return ""
	}
	if strings.Contains(base, "//") || strings.HasSuffix(base, "/") {
		r.refuse("basePath", "%s has an empty segment", quote(base))
		return ""
	}
	return base
}

// badPath says why no request can have this path, or "".
func badPath(path string) string {
	for _, c := range []byte(path) {
		switch {
		case c <= ' ' || c == 0x7f:
			return "holds a space or a control character"
		case c == '?' || c == '#':
			return "holds a ? or #, which ends a path"
		case c == '\\':
			return "holds a backslash"
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if plain, err := url.PathUnescape(segment); err != nil {
			return "holds a % that begins no escape"
		} else if plain == "." || plain == ".." {
			return "holds a dot segment, which a request never has"
		}
	}
	return ""
}

// maxMediaTypes bounds consumes and produces: gateways hold them for each operation.
const maxMediaTypes = 64

// mediaTypes reads consumes or produces; nil where object does not have it.
func (r *reader) mediaTypes(where string, object map[string]any, key string) []string {
	v, has := object[key]
	if !has || v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.refuse(where, "%s is %s, not an array of media types", key, kind(v))
		return nil
	}
	if len(list) > maxMediaTypes {
		r.refuse(where, "%s has %d media types, more than %d", key, len(list), maxMediaTypes)
		return nil
	}
	types := make([]string, 0, len(list))
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			r.refuse(where, "%s holds %s, not a media type", key, kind(item))
			continue
		}
		if _, _, err := mime.ParseMediaType(s); err != nil || !strings.Contains(s, "/") {
			r.warn(where, "%s holds %s, which is not a media type", key, quote(s))
		}
		types = append(types, s)
	}
	return types
}
