package pack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// file is one entry of the bundle.
type file struct {
	name string      // in the bundle, with slashes
	mode fs.FileMode // 0755, 0644 or a symbolic link
	path string      // where its bytes are; "" where text is all of it, or it lies at name in the folder
	text string      // a link's target, or what there is no file of
}

// carried are the files and symbolic links of dir that go into the bundle as they
// are. Where the folder is compiled, what only the compiler and the developer
// need stays behind. The file except is left out.
func carried(dir string, compiled bool, except string) ([]file, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	skip, err := os.Stat(except)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at what is there already: %w", err)
	}
	var files []file
	var problems []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if staysBehind(name, d, compiled) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		switch d.Type() {
		case fs.ModeDir:
			return nil
		case fs.ModeSymlink:
			target, err := root.Readlink(name)
			if err != nil {
				return err
			}
			files = append(files, file{name: name, mode: fs.ModeSymlink | 0o777, text: target})
			return nil
		case 0:
		default:
			problems = append(problems, name+" is neither a file nor a folder nor a symbolic link")
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if skip != nil && os.SameFile(skip, info) {
			return nil
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		files = append(files, file{name: name, mode: mode})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder: %w", err)
	}
	if len(problems) > 0 {
		return nil, &Error{dir, problems}
	}
	return files, nil
}

// staysBehind says what is no part of a bundle: what version control keeps, and
// in a compiled folder Go's own files, tests' data and everything hidden.
func staysBehind(name string, d fs.DirEntry, compiled bool) bool {
	base := filepath.Base(name)
	if d.IsDir() && slices.Contains([]string{".git", ".hg", ".svn"}, base) || base == ".git" || base == ".DS_Store" {
		return true
	}
	if !compiled {
		return false
	}
	if strings.HasPrefix(base, ".") {
		return true
	}
	if d.IsDir() {
		return base == "testdata" || name == "vendor"
	}
	switch base {
	case "go.mod", "go.sum", "go.work", "go.work.sum":
		return true
	}
	return strings.HasSuffix(base, ".go")
}

// replace adds files of make to those of carried, in place of any of the same
// name.
func replace(carried, made []file) []file {
	kept := slices.DeleteFunc(slices.Clone(carried), func(c file) bool {
		return slices.ContainsFunc(made, func(m file) bool { return m.name == c.name })
	})
	return append(kept, made...)
}
