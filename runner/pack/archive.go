package pack

import (
	"archive/zip"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// epoch is the time of every entry: the first that a zip file can express.
var epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// archive writes files, which it sorts, to w as a zip file.
func archive(ctx context.Context, w io.Writer, dir string, files []file) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	defer func() { _ = root.Close() }()
	slices.SortFunc(files, func(a, b file) int { return cmp.Compare(a.name, b.name) })
	z := zip.NewWriter(w)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := add(z, root, f); err != nil {
			return fmt.Errorf("add %s to the bundle: %w", f.name, err)
		}
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write the bundle: %w", err)
	}
	return nil
}

func add(z *zip.Writer, root *os.Root, f file) error {
	header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: epoch}
	header.SetMode(f.mode)
	entry, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	var from io.Reader
	if f.text != "" {
		from = strings.NewReader(f.text)
	} else {
		var in *os.File
		if f.path != "" {
			in, err = os.Open(f.path)
		} else {
			in, err = root.Open(filepath.FromSlash(f.name))
		}
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		from = in
	}
	_, err = io.Copy(entry, from)
	return err
}
