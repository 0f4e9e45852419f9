package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// harmful is the document of a jar that is dangerous to itself.
const harmful = `
swagger: "2.0"
info: {title: Harmful, version: "1"}
basePath: /harm/%s
produces: [application/json, text/plain]
x-funcatron: {runtime: jvm, concurrency: 8, timeout: 20s, processes: 300, jvmOptions: [-Xmx48m]}
paths:
  /version: {get: {operationId: harm.Version, responses: {"200": {description: ok}}}}
  /never: {get: {operationId: harm.Never, x-funcatron: {timeout: 1s}, responses: {"200": {description: ok}}}}
  /exit: {post: {operationId: harm.Exit, responses: {"200": {description: ok}}}}
  /heap: {post: {operationId: harm.Heap, responses: {"200": {description: ok}}}}
  /threads: {post: {operationId: harm.Threads, responses: {"200": {description: ok}}}}
`

// harm are the functions. lib.Greeting is a library that comes in two versions.
var harm = map[string]string{
	"harm/Version.java": `return lib.Greeting.VERSION;`,
	"harm/Never.java":   `for (long n = 0; ; n++) { if (n < 0) return n; }`,
	"harm/Exit.java":    `System.exit(3); return null;`,
	"harm/Heap.java":    `java.util.List<byte[]> all = new java.util.ArrayList<>(); while (true) all.add(new byte[1 << 20]);`,
	"harm/Threads.java": `while (true) new Thread(() -> { while (true) try { Thread.sleep(60_000); } catch (InterruptedException e) { } }).start();`,
}

// harmJar adds the harmful functions, and a version of their library, to the classes
// of the Java sample's uberjar.
func harmJar(t *testing.T, sample, version string) string {
	t.Helper()
	src, classes := t.TempDir(), t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(src, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := []string{"-cp", sample, "-d", classes, "--release", "17",
		write("lib/Greeting.java", `package lib; public class Greeting { public static final String VERSION = new String("`+version+`"); }`)}
	for name, body := range harm {
		class := strings.TrimSuffix(filepath.Base(name), ".java")
		args = append(args, write(name, `package harm;
import funcatron.intf.*;
public class `+class+` implements Func<byte[]> {
    public Object apply(byte[] body, Context context) throws Exception { `+body+` }
}`))
	}
	if out, err := exec.Command("javac", args...).CombinedOutput(); err != nil {
		t.Fatalf("javac: %v\n%s", err, out)
	}

	return withDocument(t, sample, fmt.Sprintf(harmful, version), os.DirFS(classes))
}

// withDocument is the jar sample with another document, and with more files.
func withDocument(t *testing.T, sample, document string, more fs.FS) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle.jar")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	out := zip.NewWriter(file)
	in, err := zip.OpenReader(sample)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for _, f := range in.File {
		if f.Name != "funcatron.yaml" && !strings.HasSuffix(f.Name, "/") {
			err = errors.Join(err, out.Copy(f))
		}
	}
	w, cerr := out.Create("funcatron.yaml")
	if err = errors.Join(err, cerr); err == nil {
		_, err = io.WriteString(w, document)
	}
	if more != nil {
		err = errors.Join(err, out.AddFS(more))
	}
	if err = errors.Join(err, out.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// sampleIn is the sample in a language.
func sampleIn(t *testing.T, name string) string {
	t.Helper()
	return languages[slices.IndexFunc(languages, func(l language) bool { return l.name == name })].sample(t)
}

// The samples run with the documents that the announcement's had, which say nothing
// of a runtime: that a jar is one is seen by what it holds.
func TestAnnouncedDocuments(t *testing.T) {
	reference := os.Getenv("FUNCATRON_REFERENCE")
	if reference == "" {
		t.Log("FUNCATRON_REFERENCE is not set: no documents to run")
		return
	}
	s := upSystem(t, t.TempDir(), "--jvm-host", jvmHost)
	for _, name := range []string{"java", "scala"} {
		document, err := os.ReadFile(filepath.Join(reference, "samples", name+"-sample.funcatron.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		s.enable(s.add(withDocument(t, sampleIn(t, name), string(document), nil)), map[string]any{"key": "value"})
		var simple struct {
			Num   int64             `json:"num-param"`
			Bools bool              `json:"bools"`
			Query map[string]string `json:"query-params"`
			Time  string            `json:"time"`
		}
		decode(t, s.serves("/sample/"+name+"/simple/42?cool=yes").body, &simple)
		if _, err := time.Parse("Mon Jan 02 15:04:05 MST 2006", simple.Time); err != nil || simple.Num != 42 || !simple.Bools || simple.Query["cool"] != "yes" {
			t.Errorf("%s: %+v (%v)", name, simple, err)
		}
		for _, tc := range []struct {
			method, body string
			status       int
			want         string
		}{
			{"POST", `{"name":"Ann","age":30}`, 200, `[{"name":"Ann1","age":31},{"name":"Ann2","age":32}]`},
			{"DELETE", "", 200, `{"name":"Deleted 2","age":2}`},
			{"GET", "", 400, "Expecting a POST or DELETE, but got get"},
		} {
			if a := request(t, tc.method, s.gateway+"/sample/"+name+"/change/2", tc.body); a.status != tc.status || a.body != tc.want {
				t.Errorf("%s: %s: %d %s, want %d %s", name, tc.method, a.status, a.body, tc.status, tc.want)
			}
		}
	}
}

// Whatever a jar does, its own process suffers, and nothing else does: two jars with
// two versions of one library, one of which is put through everything while the other
// is asked all the time.
func TestJarsAreKeptApart(t *testing.T) {
	sample := sampleIn(t, "java")
	s := upSystem(t, t.TempDir(), "--jvm-host", jvmHost)
	for _, version := range []string{"one", "two"} {
		s.enable(s.add(harmJar(t, sample, version)), nil)
	}
	version := func(which string) error {
		a, err := try("GET", s.gateway+"/harm/"+which+"/version", "")
		if err == nil && (a.status != 200 || a.body != which) {
			err = fmt.Errorf("%s: %d %s", which, a.status, a.body)
		}
		return err
	}
	for _, which := range []string{"one", "two"} {
		if err := version(which); err != nil {
			t.Fatal(err)
		}
	}

	quit, asked := make(chan struct{}), make(chan error, 1)
	go func() {
		n := 0
		for {
			if err := version("two"); err != nil {
				asked <- err
				return
			}
			n++
			select {
			case <-quit:
				if n < 10 {
					asked <- fmt.Errorf("only %d requests", n)
				}
				close(asked)
				return
			default:
			}
		}
	}()
	for _, tc := range []struct {
		method, path string
		status       []int
	}{
		{"GET", "/never", []int{504}},
		{"POST", "/exit", []int{502}},
		{"POST", "/heap", []int{502}},
		{"POST", "/threads", []int{500, 502}},
	} {
		s.eventually("answer to "+tc.path, func() error {
			a, err := try(tc.method, s.gateway+"/harm/one"+tc.path, "")
			switch {
			case err != nil:
				return err
			case a.status == 503: // the gateway has not seen yet that the process is back
				return errors.New(a.body)
			case !slices.Contains(tc.status, a.status):
				t.Errorf("%s is answered %d %s, want %v", tc.path, a.status, a.body, tc.status)
			}
			return nil
		})
		s.eventually("the jar serves after "+tc.path, func() error { return version("one") })
	}
	close(quit)
	if err := <-asked; err != nil {
		t.Errorf("the other jar: %v", err)
	}
	for _, word := range []string{"exit status 3", "java.lang.OutOfMemoryError"} {
		if text, _ := s.procs["up"].output(); !strings.Contains(text, word) {
			t.Errorf("the log does not say %q", word)
		}
	}
}
