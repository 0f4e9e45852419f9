package bundle

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/funcatron/funcatron/shared/swagger"
)

// contextImpl is in every bundle built for the original's JVM runner, and in no other.
const contextImpl = "funcatron/intf/impl/ContextImpl.class"

// Open reads the bundle in the file path. The error is an *Error that names
// everything for which the bundle was refused, or what the file system said.
func Open(path string) (*Bundle, error) {
	a, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.close()

	digest := sha256.New()
	if _, err := io.Copy(digest, io.NewSectionReader(a.file, 0, a.size)); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	b := &Bundle{Sha: hex.EncodeToString(digest.Sum(nil)), Size: a.size}
	b.DocName, b.Document = a.document()
	if b.Document != nil {
		b.Type = a.runtime(b.DocName, b.Document)
		b.Platforms = a.checkCommand(b.Type, b.DocName, b.Document)
	}
	if err := a.verdict(); err != nil {
		return nil, err
	}
	b.GitSha = a.gitSha(b)
	b.Warnings = a.warnings
	return b, nil
}

// archive is an open bundle: its entries as they would be unpacked, and what is
// wrong with them.
type archive struct {
	file    *os.File
	size    int64
	entries []*entry          // files and links
	byName  map[string]*entry // the same
	folders []string          // a folder before what is in it
	jar     bool
	notes
}

// openArchive opens the zip file and checks all entries. What is wrong with
// these is in the archive's problems; an error is what it cannot go on from.
func openArchive(path string) (*archive, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	a := &archive{file: file, byName: map[string]*entry{}}
	if err := a.readDirectory(); err != nil {
		_ = file.Close()
		return nil, err
	}
	return a, nil
}

func (a *archive) close() { _ = a.file.Close() }

// maxDirectory bounds the zip file's central directory in bytes. archive/zip
// reads all of it, and makes ten times as much of it, before anybody can count.
const maxDirectory = 16 << 20

func (a *archive) readDirectory() error {
	info, err := a.file.Stat()
	if err != nil {
		return fmt.Errorf("open bundle: %w", err)
	}
	if !info.Mode().IsRegular() {
		return refusal("%s is not a file", info.Name())
	}
	if a.size = info.Size(); a.size > MaxSize {
		return refusal("the file has %d bytes, more than the %d that a bundle may have", a.size, MaxSize)
	}
	source := &bounded{r: a.file, left: maxDirectory}
	// Names that lead outside are ours to refuse, with all the rest.
	z, err := zip.NewReader(source, a.size)
	var disk *fs.PathError
	switch {
	case errors.Is(err, errDirectory):
		return refusal("too many entries: the zip file's directory has more than %d bytes", maxDirectory)
	case errors.As(err, &disk):
		return fmt.Errorf("read bundle: %w", err)
	case err != nil && !errors.Is(err, zip.ErrInsecurePath):
		return refusal("not a zip file: %v", err)
	}
	source.open = true
	a.plan(z.File)
	return nil
}

// bounded reads at most left bytes until it is opened up.
type bounded struct {
	r    io.ReaderAt
	left int64
	open bool
}

var (
	errDirectory = errors.New("zip directory too big")
	errBefore    = errors.New("it begins before the file does")
)

func (b *bounded) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 { // to the file system it would be our fault
		return 0, errBefore
	}
	if !b.open {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errDirectory
		}
	}
	return b.r.ReadAt(p, off)
}

// read is the content of a small entry.
func (a *archive) read(e *entry, most int64) ([]byte, error) {
	r, err := e.zip.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("has more than %d bytes", most)
	}
	return data, nil
}

// document finds and reads the Swagger document.
func (a *archive) document() (name string, doc *swagger.Document) {
	for _, candidate := range documentNames {
		if a.byName[candidate] == nil {
			continue
		}
		if name != "" {
			a.refuse(candidate, "is a second document beside %s; a bundle has one", name)
			return name, nil
		}
		name = candidate
	}
	if name == "" {
		a.refuse("funcatron.yaml", "is missing (or funcatron.yml, or funcatron.json): the Swagger document at the root of the zip file")
		return "", nil
	}
	e := a.byName[name]
	if e.kind != file {
		a.refuse(name, "is not a file")
		return name, nil
	}
	data, err := a.read(e, swagger.MaxDocument)
	if err != nil {
		a.refuse(name, "cannot be read: %v", err)
		return name, nil
	}
	doc, err = swagger.Parse(data)
	var refused *swagger.Error
	if errors.As(err, &refused) {
		for _, problem := range refused.Problems {
			a.refuse(name, "%s", problem)
		}
	} else if err != nil {
		a.refuse(name, "cannot be read: %v", err)
	}
	return name, doc
}

// runtime is how the code runs: what the document says, else what the files show.
func (a *archive) runtime(docName string, doc *swagger.Document) string {
	switch {
	case doc.Runtime.Kind != "":
		return doc.Runtime.Kind
	case a.byName[contextImpl] != nil:
		return "jvm"
	}
	a.refuse(docName, `does not say how the code runs; add x-funcatron: {runtime: exec, command: ["bin/app"]}, or another runtime (jvm, python, node)`)
	return ""
}
