package bundle

import (
	"archive/zip"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// documentNames are where the Swagger document may be.
var documentNames = []string{"funcatron.yaml", "funcatron.yml", "funcatron.json"}

const (
	gitShaName   = "gitsha.txt"
	manifestName = "META-INF/MANIFEST.MF"
)

// Bounds on names.
const (
	maxName    = 2_048 // bytes
	maxSegment = 255   // bytes, what file systems take
	maxNesting = 64    // folders
	maxTarget  = 4_096 // bytes of a symbolic link's target
)

// kind is what an entry becomes.
type kind uint8

const (
	file kind = iota
	folder
	link
)

// entry is one file, folder or symbolic link as it will be unpacked.
type entry struct {
	name   string // clean: relative, slashes, no dots
	kind   kind
	target string // link: where it leads, relative
	zip    *zip.File
}

// plan decides what every entry becomes and refuses what cannot be. The maps
// hold only what is bounded: at most MaxFiles entries and as many folders.
func (a *archive) plan(files []*zip.File) {
	if len(files) > 2*MaxFiles {
		a.refuse("the zip file", "has %d entries, more than %d files and as many folders", len(files), MaxFiles)
		return
	}
	for _, f := range files {
		a.jar = a.jar || f.Name == manifestName
	}
	folders := map[string]bool{}
	lower := map[string]string{}
	var total uint64
	for _, f := range files {
		e := a.newEntry(f)
		if e == nil || e.name == "." {
			continue
		}
		dir := e.name
		if e.kind != folder {
			dir = path.Dir(e.name)
		}
		for ; dir != "." && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		if len(folders) > MaxFiles {
			a.refuse("the zip file", "has more than %d folders", MaxFiles)
			return
		}
		if e.kind == folder {
			continue
		}
		if a.byName[e.name] != nil {
			a.duplicate(e)
			continue
		}
		if len(a.entries) == MaxFiles {
			a.refuse("the zip file", "has more than %d files", MaxFiles)
			return
		}
		a.byName[e.name] = e
		a.entries = append(a.entries, e)
		total += f.UncompressedSize64 // newEntry bounded it, so this cannot wrap
		if twin := lower[strings.ToLower(e.name)]; twin != "" {
			a.warn(e.name, "differs from %s by upper and lower case only", quote(twin))
		}
		lower[strings.ToLower(e.name)] = e.name
	}
	if total > MaxUnpacked {
		a.refuse("the zip file", "holds %d bytes unpacked, more than %d", total, MaxUnpacked)
	}
	// Nothing is in byName and has something below it: so nothing is ever
	// written through a link.
	a.folders = slices.Sorted(maps.Keys(folders))
	for _, name := range a.folders {
		if a.byName[name] != nil {
			a.refuse(name, "is both a file and a folder")
		}
	}
}

// newEntry checks one entry by itself; nil where it is refused.
func (a *archive) newEntry(f *zip.File) *entry {
	if why := badName(f.Name); why != "" {
		a.refuse(quote(f.Name), "%s", why)
		return nil
	}
	e := &entry{name: path.Clean(f.Name), zip: f}
	switch f.Mode().Type() {
	case 0:
	case fs.ModeDir:
		e.kind = folder
		return e
	case fs.ModeSymlink:
		e.kind = link
	default:
		a.refuse(e.name, "is neither a file nor a folder nor a symbolic link")
		return nil
	}
	const encrypted = 0x1 | 0x40 | 0x2000 // APPNOTE.TXT, section 4.4.4
	switch {
	case f.Flags&encrypted != 0:
		a.refuse(e.name, "is encrypted")
		return nil
	case f.Method != zip.Store && f.Method != zip.Deflate:
		a.refuse(e.name, "is compressed by method %d; deflate and store are read", f.Method)
		return nil
	case f.UncompressedSize64 > MaxFile:
		a.refuse(e.name, "has %d bytes, more than %d", f.UncompressedSize64, MaxFile)
		return nil
	}
	if e.kind == link {
		target, err := a.read(e, maxTarget)
		if err != nil {
			a.refuse(e.name, "is a symbolic link that cannot be read: %v", err)
			return nil
		}
		if why := badTarget(e.name, string(target)); why != "" {
			a.refuse(e.name, "is a symbolic link to %s, which %s", quote(string(target)), why)
			return nil
		}
		e.target = string(target)
	}
	return e
}

// duplicate deals with a second entry of one name. Build tools for jars leave
// such (META-INF/LICENSE of every library), where the first is as good as the
// others; elsewhere nobody can say which one was checked by whoever looked.
func (a *archive) duplicate(e *entry) {
	if !a.jar || e.name == gitShaName || e.name == manifestName || slices.Contains(documentNames, e.name) {
		a.refuse(e.name, "is there twice")
		return
	}
	a.warn(e.name, "is there twice; the first one counts")
}

// badName says why a name cannot be unpacked, or "".
func badName(name string) string {
	switch {
	case strings.Trim(name, "/") == "":
		return "is no name"
	case !utf8.ValidString(name):
		return "is not UTF-8"
	case strings.ContainsRune(name, '\\'):
		return "has a backslash: names in a zip file have slashes"
	case strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return "has a control character"
	case name[0] == '/':
		return "is absolute: it leads out of the bundle's folder"
	case len(name) > 1 && name[1] == ':' && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z'):
		return "begins with a drive letter: it leads out of the bundle's folder"
	case len(name) > maxName:
		return "is too long"
	}
	depth := 0
	for segment := range strings.SplitSeq(strings.TrimSuffix(name, "/"), "/") {
		depth++
		switch {
		case segment == "..":
			return "has a .. segment: it leads out of the bundle's folder"
		case len(segment) > maxSegment:
			return "has a segment that is too long"
		case depth > maxNesting:
			return "is nested too deep"
		}
	}
	return ""
}

// badTarget says why a symbolic link may not lead where it does, or "". Leading
// .. segments go up from the link's own folder, which is a real one; what
// follows only goes down, through links that obey the same rule. So no chain of
// links leads out. A .. further behind could go up from wherever another link
// leads, which no look at the text would tell.
func badTarget(name, target string) string {
	switch {
	case target == "":
		return "is nothing"
	case !utf8.ValidString(target) || strings.ContainsFunc(target, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }):
		return "is not a path"
	case target[0] == '/':
		return "is absolute"
	}
	down := false
	for segment := range strings.SplitSeq(target, "/") {
		switch segment {
		case "..":
			if down {
				return "has a .. behind a name"
			}
		case "", ".":
		default:
			down = true
		}
	}
	if to := path.Join(path.Dir(name), target); to == ".." || strings.HasPrefix(to, "../") {
		return "leads out of the bundle's folder"
	}
	return ""
}
