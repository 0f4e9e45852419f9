package bundle

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
)

const (
	maxGitSha   = 64      // characters
	maxManifest = 1 << 20 // bytes
)

// gitSha is the git revision of the code: the first line of gitsha.txt, else
// what the manifest says, else what Go's linker left in an exec bundle's command.
func (a *archive) gitSha(b *Bundle) string {
	if e := a.byName[gitShaName]; e != nil && e.kind == file {
		data, err := a.read(e, maxManifest)
		line, _, _ := strings.Cut(strings.ReplaceAll(string(data), "\r", "\n"), "\n")
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if err == nil && plausible(line) {
			return line
		}
		a.warn(gitShaName, "does not begin with a git revision, and is passed over")
	}
	if e := a.byName[manifestName]; e != nil && e.kind == file {
		data, err := a.read(e, maxManifest)
		if err != nil {
			a.warn(manifestName, "cannot be read: %v", err)
		}
		attributes := manifest(data)
		for _, key := range []string{"git-head-rev", "githeadrev", "git-describe"} {
			if rev := attributes[key]; plausible(rev) {
				return rev
			}
		}
	}
	if words := b.Document.Runtime.Command; b.Type == "exec" && len(words) > 0 && strings.Contains(words[0], "/") {
		files := a.commandFiles(words[0])
		own := slices.IndexFunc(files, func(f commandFile) bool { return f.goos == runtime.GOOS && f.goarch == runtime.GOARCH })
		if rev := a.buildRevision(files[max(own, 0)].entry); plausible(rev) {
			return rev
		}
	}
	return ""
}

// plausible says whether s can be a revision. It stands in every log line of the
// function, as [op:GIT:rev&REQ:id].
func plausible(s string) bool {
	return s != "" && len(s) <= maxGitSha && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`&[]"'`, c)
	})
}

// manifest reads the main section of a jar's manifest, names in lower case (JAR
// File Specification, section Manifest Specification: a line that begins with a
// space continues the one before).
func manifest(data []byte) map[string]string {
	attributes := map[string]string{}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	text = strings.ReplaceAll(text, "\n ", "")
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			break
		}
		if key, value, ok := strings.Cut(line, ":"); ok {
			attributes[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
	return attributes
}

// buildRevision is what the go command recorded in a program (debug/buildinfo),
// or "". The program is unpacked for it into a file that has no name any more,
// since it may be big and has to be read back and forth.
func (a *archive) buildRevision(e *entry) (revision string) {
	if e.kind != file {
		return ""
	}
	defer func() {
		if p := recover(); p != nil { // it reads formats of which we know nothing
			a.warn(e.name, "its build information cannot be read: %v", p)
			revision = ""
		}
	}()
	r, err := e.zip.Open()
	if err != nil {
		return ""
	}
	defer func() { _ = r.Close() }()
	// Most commands are scripts; do not unpack what cannot be a program.
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil || !program(head) {
		return ""
	}
	temp, err := os.CreateTemp("", "funcatron-build-info-")
	if err != nil {
		a.warn(e.name, "its build information cannot be read: %v", err)
		return ""
	}
	defer func() { _ = temp.Close() }()
	defer func() { _ = os.Remove(temp.Name()) }()
	size := int64(e.zip.UncompressedSize64)
	if _, err := io.Copy(temp, io.LimitReader(io.MultiReader(bytes.NewReader(head), r), size)); err != nil {
		a.warn(e.name, "its build information cannot be read: %v", err)
		return ""
	}
	info, err := buildinfo.Read(temp)
	if err != nil {
		return "" // not a Go program
	}
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if revision != "" && modified {
		revision += "-dirty"
	}
	return revision
}

// program knows the files that debug/buildinfo reads by their first bytes.
func program(head []byte) bool {
	switch fmt.Sprintf("%x", head) {
	case "7f454c46", // ELF
		"cffaedfe", "cefaedfe", "feedfacf", "feedface", "cafebabe", // Mach-O
		"01df0004", "01f70004": // XCOFF
		return true
	}
	return bytes.HasPrefix(head, []byte("MZ")) // PE
}
