package bundle

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/funcatron/funcatron/shared/swagger"
)

// Go's names of systems and processors (go tool dist list), by which a bundle
// may carry its command for several.
var (
	systems = []string{
		"aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "linux",
		"netbsd", "openbsd", "plan9", "solaris", "windows",
	}
	processors = []string{
		"386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle",
		"ppc64", "ppc64le", "riscv64", "s390x",
	}
)

// Fill puts the names of a system and a processor where a word of a command has
// $GOOS and $GOARCH.
func Fill(word, goos, goarch string) string {
	return strings.NewReplacer("$GOOS", goos, "${GOOS}", goos, "$GOARCH", goarch, "${GOARCH}", goarch).Replace(word)
}

// checkCommand checks an exec bundle's command as far as the bundle shows: a
// first word with a slash is a file of the bundle. It gives the platforms that
// there is such a file for, none where that does not depend on any.
func (a *archive) checkCommand(runtime, docName string, doc *swagger.Document) []string {
	command := doc.Runtime.Command
	if runtime != "exec" {
		if len(command) > 0 {
			a.warn(docName, "x-funcatron has a command, which only runtime exec starts")
		}
		return nil
	}
	if len(command) == 0 {
		a.refuse(docName, `x-funcatron says runtime: exec but has no command; add one like ["bin/app"]`)
		return nil
	}
	word := command[0]
	if !strings.Contains(word, "/") {
		return nil // looked up in the PATH of wherever it runs
	}
	if why := badName(word); why != "" || strings.HasSuffix(word, "/") {
		a.refuse(docName, "the command %s is not a file of the bundle; one that is in PATH has no slash", quote(word))
		return nil
	}
	files := a.commandFiles(word)
	if len(files) == 0 {
		looked := quote(path.Clean(Fill(word, "linux", "amd64")))
		if Fill(word, "", "") != word {
			looked += " and the like for other platforms"
		}
		a.refuse(docName, "the command %s is not in the bundle: there is no %s", quote(word), looked)
		return nil
	}
	var platforms []string
	for _, f := range files {
		if f.platform != "" {
			platforms = append(platforms, f.platform)
		}
	}
	return platforms
}

// commandFile is a file that the command's first word names.
type commandFile struct {
	entry        *entry
	platform     string
	goos, goarch string
}

// commandFiles are all those that there are, in the order of their platforms.
func (a *archive) commandFiles(word string) []commandFile {
	bySystem := Fill(word, "", "$GOARCH") != word
	byProcessor := Fill(word, "$GOOS", "") != word
	oses, arches := systems, processors
	if !bySystem {
		oses = []string{""}
	}
	if !byProcessor {
		arches = []string{""}
	}
	var files []commandFile
	for _, goos := range oses {
		for _, goarch := range arches {
			e := a.byName[path.Clean(Fill(word, goos, goarch))]
			if e == nil {
				continue
			}
			platform := strings.Trim(goos+"/"+goarch, "/")
			files = append(files, commandFile{entry: e, platform: platform, goos: goos, goarch: goarch})
		}
	}
	return files
}

// executables decides which files may be executed: those that the zip file says
// so of, those of the command, and, where the tool that made the zip file knew
// no modes, all that lie in the command's folder.
func (a *archive) executables(doc *swagger.Document) func(*entry) bool {
	command := map[string]bool{}
	home := ""
	if words := doc.Runtime.Command; len(words) > 0 && strings.Contains(words[0], "/") {
		for _, f := range a.commandFiles(words[0]) {
			command[f.entry.name] = true
		}
		fixed, _, _ := strings.Cut(path.Clean(words[0]), "$")
		home, _ = path.Split(fixed)
	}
	return func(e *entry) bool {
		const unix, darwin = 3, 19 // APPNOTE.TXT, section 4.4.2
		host := e.zip.CreatorVersion >> 8
		switch {
		case e.zip.Mode()&0o111 != 0 || command[e.name]:
			return true
		case home == "" || slices.Contains([]uint16{unix, darwin}, host):
			return false
		}
		return strings.HasPrefix(e.name, home)
	}
}

// perm are the permissions that a file gets, whatever the zip file says: no
// setuid, nothing that others may write.
func perm(executable bool) fs.FileMode {
	if executable {
		return 0o755
	}
	return 0o644
}
