package runner

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
)

// hostJar is the name of the program that serves jars.
const hostJar = "funcatron-jvm-host.jar"

// hostJars are where it is looked for, besides the folder of our own program: where
// the image has it, and where a source tree builds it.
var hostJars = []string{"/usr/share/funcatron/" + hostJar, "runner/jvm/host/target/" + hostJar}

func (r *Runner) java() (string, error) { return r.interpreter("jvm", "java", r.opts.Java) }

// jvmHost finds the jar that serves jars.
func (r *Runner) jvmHost() (string, error) {
	places := hostJars
	if r.opts.JVMHost != "" {
		places = []string{r.opts.JVMHost}
	} else if self, err := os.Executable(); err == nil {
		places = append([]string{filepath.Join(filepath.Dir(self), hostJar)}, places...)
	}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", fmt.Errorf("runtime jvm: there is no %s (--jvm-host names it; make jvm builds it)", strings.Join(places, ", nor "))
}

// jvmProgram serves a jar by the host. The jar is kept where its path and time stay
// what they are, as class-data archives want it.
func (r *Runner) jvmProgram(ctx context.Context, n *run) (program, error) {
	java, err := r.java()
	if err != nil {
		return program{}, err
	}
	host, err := r.jvmHost()
	if err == nil {
		host, err = r.hosts.placeFile(host)
	}
	if err != nil {
		return program{}, err
	}
	dir, release, err := r.made.Get(ctx, "jvm-"+n.bundle.Sha, func(dir string) error {
		return copyFile(n.zip, filepath.Join(dir, "bundle.jar"), 0o644)
	})
	if err != nil {
		return program{}, fmt.Errorf("keep the jar: %w", err)
	}
	n.releases = append(n.releases, release)
	jar := filepath.Join(dir, "bundle.jar")
	classes := &classArchive{}
	if classes.path, err = archivePath(dir, java, host, n.runtime.JVMOptions); err != nil {
		return program{}, err
	}
	var memory []string
	if n.runtime.Memory > 0 { // else the heap is sized by the machine's
		memory = []string{"-XX:MaxRAM=" + strconv.FormatInt(n.runtime.Memory, 10), "-XX:MaxRAMPercentage=50"}
	}
	more := func(home string) ([]string, error) {
		options := append(jvmOptions(home), classes.options(home)...)
		options = append(options, memory...)
		options = append(options, n.runtime.JVMOptions...)
		options = append(options, "-jar", host, jar)
		// By a file: the command line is everybody's to see, and would give away
		// where the jar is.
		file := filepath.Join(home, "java.args")
		return []string{"@" + file}, os.WriteFile(file, argumentFile(options), 0o600)
	}
	return program{path: java, args: []string{java}, more: more, classes: classes}, nil
}

// jvmOptions are what every jvm gets; those of the document follow, and win.
func jvmOptions(home string) []string {
	return []string{
		"-XX:+ExitOnOutOfMemoryError", // a process without memory is no use to anybody: it is started again
		"-XX:-UsePerfData",
		"-Xshare:auto",
		"-Xlog:disable", "-Xlog:all=error:stderr", // an archive that does not fit is no news
		"-Dfile.encoding=UTF-8",
		"-Djava.io.tmpdir=" + tmpOf(home),
		"-Duser.home=" + home,
	}
}

// argumentFile writes options as java reads them from a file (java(1), "java
// Command-Line Argument Files"): quoted, with backslashes escaped.
func argumentFile(options []string) []byte {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	for _, o := range options {
		b.WriteString(`"` + quote.Replace(o) + "\"\n")
	}
	return []byte(b.String())
}

// classArchive is the class-data archive (AppCDS) of a jar: made by the first
// process of it that was warmed up, and used by all that start later.
type classArchive struct {
	path   string
	making atomic.Bool
}

// archivePath is the archive's file in dir, named by all that it depends on.
func archivePath(dir, java, host string, options []string) (string, error) {
	files, err := identity(java, host)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%q", files, options))
	return filepath.Join(dir, "classes-"+hex.EncodeToString(sum[:8])+".jsa"), nil
}

func (c *classArchive) there() bool {
	_, err := os.Stat(c.path)
	return err == nil
}

// pending is where a process with that home makes the archive.
func (c *classArchive) pending(home string) string { return filepath.Join(home, "classes.jsa") }

// options use the archive where it is there, and else have the process ready to make
// it.
func (c *classArchive) options(home string) []string {
	if c.there() {
		return []string{"-XX:SharedArchiveFile=" + c.path}
	}
	return []string{"-XX:+RecordDynamicDumpInfo", "-Dfuncatron.archive=" + c.pending(home)}
}

// take makes the archive that a process made everybody's of this jar. The process
// must not be able to change it any more: others will run what is in it.
func (c *classArchive) take(home string) error {
	made := c.pending(home)
	info, err := os.Lstat(made)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("the process made something else than a file")
	}
	next := c.path + ".new"
	if err := copyFile(made, next, 0o644); err != nil {
		return errors.Join(err, removeIfThere(next))
	}
	return errors.Join(os.Rename(next, c.path), os.Remove(made))
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
