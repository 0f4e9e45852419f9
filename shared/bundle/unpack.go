package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Unpack writes the files of the bundle in the file path into dir, an existing
// empty folder. The error is an *Error where the bundle is at fault, else what
// the file system said. After an error, dir holds what was written so far; it is
// the caller's to remove.
//
// All writing goes through an os.Root, which nothing leads out of, even if this
// package overlooked it.
func Unpack(path, dir string) error {
	a, err := openArchive(path)
	if err != nil {
		return err
	}
	defer a.close()
	docName, doc := a.document()
	if doc != nil {
		a.checkCommand(a.runtime(docName, doc), docName, doc)
	}
	if err := a.verdict(); err != nil {
		return err
	}

	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack bundle: %w", err)
	}
	defer func() { _ = root.Close() }()
	if err := checkEmpty(root); err != nil {
		return fmt.Errorf("unpack bundle: %w", err)
	}
	for _, name := range a.folders {
		if err := root.Mkdir(name, 0o755); err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
	executable := a.executables(doc)
	for _, e := range a.entries {
		if e.kind == file {
			if err := writeFile(root, e, perm(executable(e))); err != nil {
				return err
			}
		}
	}
	for _, e := range a.entries {
		if e.kind == link {
			if err := root.Symlink(e.target, e.name); err != nil {
				return fmt.Errorf("unpack %s: %w", e.name, err)
			}
		}
	}
	return nil
}

func checkEmpty(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("%s is not empty: it holds %s", root.Name(), names[0])
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// writeFile writes one file, no byte more than its entry declares: it is the
// declared sizes that were held against the limits.
func writeFile(root *os.Root, e *entry, mode os.FileMode) error {
	r, err := e.zip.Open()
	if err != nil {
		return unreadable(e, err)
	}
	defer func() { _ = r.Close() }()
	f, err := root.OpenFile(e.name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", e.name, err)
	}
	size := int64(e.zip.UncompressedSize64)
	source := &source{r: r}
	_, err = io.Copy(f, io.LimitReader(source, size))
	more := 0
	if err == nil {
		more, _ = io.ReadFull(source, make([]byte, 1)) // its error is in source; at the end the checksum is looked at
	}
	if err == nil {
		err = f.Chmod(mode) // whatever the umask
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	switch {
	case source.err != nil:
		return unreadable(e, source.err)
	case more > 0:
		return refusal("%s: holds more than the %d bytes that it declares", clip(e.name), size)
	case err != nil:
		return fmt.Errorf("unpack %s: %w", e.name, err)
	}
	return nil
}

// source remembers what went wrong while reading, so that it is not taken for
// what went wrong while writing.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// unreadable is the error of an entry whose content cannot be had: the bundle's
// fault, unless the file system could not read the zip file.
func unreadable(e *entry, err error) error {
	var disk *fs.PathError
	if errors.As(err, &disk) {
		return fmt.Errorf("unpack %s: %w", e.name, err)
	}
	return refusal("%s: cannot be read: %v", clip(e.name), err)
}
