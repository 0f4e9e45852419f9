package swagger

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/funcatron/funcatron/shared/quantity"
)

// What x-funcatron says where the document does not.
const (
	defaultListen      = "unix"
	defaultConcurrency = 64
	defaultInstances   = 1
	defaultTimeout     = 30 * time.Second
)

// Bounds of x-funcatron.
const (
	maxConcurrency = 10_000
	maxInstances   = 1_000
	maxTimeout     = time.Hour

	minMemory    = 16 << 20 // bytes: with less hardly anything starts
	maxMemory    = 16 << 40
	minCPU       = 10 // thousandths
	maxCPU       = 1_000_000
	minFiles     = 16
	maxFiles     = 1_000_000
	minProcesses = 1
	maxProcesses = 100_000
)

// kinds are the runtimes that there are.
var kinds = []string{"exec", "jvm", "python", "node"}

const vendor = "x-funcatron"

// runtime reads the document's x-funcatron. What is wrong in it is refused, not
// warned of: it says how the code runs, and a guess would run it otherwise.
func (r *reader) runtime() Runtime {
	rt := Runtime{
		Listen:      defaultListen,
		Concurrency: defaultConcurrency,
		Instances:   defaultInstances,
		Timeout:     defaultTimeout,
	}
	block := r.vendorBlock(vendor, r.root)
	for key, v := range sorted(block) {
		switch key {
		case "runtime":
			rt.Kind = r.oneOf(key, v, kinds)
		case "listen":
			rt.Listen = r.oneOf(key, v, []string{"unix", "tcp"})
		case "command":
			rt.Command = r.command(v)
		case "jvmOptions":
			rt.JVMOptions = r.jvmOptions(v)
		case "warmup": // read when the operations are known
		case "concurrency":
			rt.Concurrency = r.count(key, v, 1, maxConcurrency)
		case "instances":
			rt.Instances = r.count(key, v, 1, maxInstances)
		case "timeout":
			rt.Timeout = r.timeout(vendor, v)
		case "memory":
			rt.Memory = r.quantity(key, v, quantity.Whole, minMemory, maxMemory, "16Mi", "16Ti")
		case "cpu":
			rt.CPU = r.quantity(key, v, quantity.Milli, minCPU, maxCPU, "10m", "1000")
		case "files":
			rt.Files = r.count(key, v, minFiles, maxFiles)
		case "processes":
			rt.Processes = r.count(key, v, minProcesses, maxProcesses)
		default:
			r.warn(vendor, "%s is not known, and is passed over", quote(key))
		}
	}
	return rt
}

// vendorBlock is the x-funcatron object of a part of the document.
func (r *reader) vendorBlock(where string, object map[string]any) map[string]any {
	v, has := object[vendor]
	if !has || v == nil {
		return nil
	}
	block, ok := v.(map[string]any)
	if !ok {
		r.refuse(where, "%s is %s, not an object", vendor, kind(v))
	}
	return block
}

func (r *reader) oneOf(key string, v any, allowed []string) string {
	s, ok := v.(string)
	if !ok {
		r.refuse(vendor, "%s is %s; it is one of %s", key, kind(v), strings.Join(allowed, ", "))
	} else if !slices.Contains(allowed, s) {
		r.refuse(vendor, "%s is %s; it is one of %s", key, quote(s), strings.Join(allowed, ", "))
	}
	return s
}

func (r *reader) command(v any) []string {
	list, ok := v.([]any)
	if !ok {
		r.refuse(vendor, `command is %s, not an array of words like ["bin/app", "-v"]`, kind(v))
		return nil
	}
	if len(list) == 0 {
		r.refuse(vendor, "command is empty")
	}
	words := make([]string, 0, len(list))
	for i, item := range list {
		word, ok := item.(string)
		switch {
		case !ok:
			r.refuse(vendor, "word %d of command is %s, not a string", i+1, kind(item))
		case word == "" && i == 0:
			r.refuse(vendor, "the first word of command is empty")
		case strings.ContainsRune(word, 0):
			r.refuse(vendor, "word %d of command holds a NUL character", i+1)
		}
		words = append(words, word)
	}
	return words
}

// maxJVMOptions bounds jvmOptions; so many nobody needs.
const maxJVMOptions = 100

// notOptions are options of java that say which program to run: it is the Runner's
// to say.
var notOptions = []string{"-jar", "-cp", "-classpath", "--class-path", "-m", "--module", "-p", "--module-path", "--source"}

// jvmOptions reads options of java, each one word.
func (r *reader) jvmOptions(v any) []string {
	list, ok := v.([]any)
	if !ok {
		r.refuse(vendor, `jvmOptions is %s, not an array of options like ["-Xmx512m"]`, kind(v))
		return nil
	}
	if len(list) > maxJVMOptions {
		r.refuse(vendor, "jvmOptions has %d options, more than %d", len(list), maxJVMOptions)
		return nil
	}
	options := make([]string, 0, len(list))
	for i, item := range list {
		option, ok := item.(string)
		name, _, _ := strings.Cut(option, "=")
		switch {
		case !ok:
			r.refuse(vendor, "option %d of jvmOptions is %s, not a string", i+1, kind(item))
		case !strings.HasPrefix(option, "-") || len(option) < 2:
			r.refuse(vendor, "jvmOptions has %s, which does not begin with -: an option and its value are one word", quote(option))
		case slices.Contains(notOptions, name):
			r.refuse(vendor, "jvmOptions has %s: what runs is the bundle", quote(option))
		case strings.ContainsFunc(option, func(c rune) bool { return c < ' ' || c == 0x7f }):
			r.refuse(vendor, "jvmOptions has %s, which holds a control character", quote(option))
		}
		options = append(options, option)
	}
	return options
}

func (r *reader) count(key string, v any, least, most int) int {
	number, ok := v.(json.Number)
	if !ok {
		r.refuse(vendor, "%s is %s, not a number from %d to %d", key, kind(v), least, most)
		return least
	}
	n, ok := integer(number)
	if !ok || n < int64(least) || n > int64(most) {
		r.refuse(vendor, "%s is %s, not a whole number from %d to %d", key, clip(string(number)), least, most)
		return least
	}
	return int(n)
}

// quantity is an amount that read reads, a number or a string.
func (r *reader) quantity(key string, v any, read func(string) (int64, error), least, most int64, leastText, mostText string) int64 {
	text, ok := v.(string)
	if number, is := v.(json.Number); is {
		text, ok = string(number), true
	}
	if !ok {
		r.refuse(vendor, "%s is %s, not a quantity from %s to %s", key, kind(v), leastText, mostText)
		return 0
	}
	n, err := read(text)
	switch {
	case err != nil:
		r.refuse(vendor, "%s: %v", key, err)
	case n < least || n > most:
		r.refuse(vendor, "%s is %s, not between %s and %s", key, clip(text), leastText, mostText)
	}
	return n
}

func (r *reader) timeout(where string, v any) time.Duration {
	s, ok := v.(string)
	if !ok {
		r.refuse(where, `timeout is %s, not a duration like "30s"`, kind(v))
		return defaultTimeout
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		r.refuse(where, `timeout %s is not a duration like "30s" or "1m30s"`, quote(s))
	case d < time.Millisecond || d > maxTimeout:
		r.refuse(where, "timeout %s is not between 1ms and %s", quote(s), maxTimeout)
	}
	return d
}
