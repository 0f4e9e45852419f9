package swagger

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
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
		case "concurrency":
			rt.Concurrency = r.count(key, v, maxConcurrency)
		case "instances":
			rt.Instances = r.count(key, v, maxInstances)
		case "timeout":
			rt.Timeout = r.timeout(vendor, v)
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

func (r *reader) count(key string, v any, most int) int {
	number, ok := v.(json.Number)
	if !ok {
		r.refuse(vendor, "%s is %s, not a number from 1 to %d", key, kind(v), most)
		return 1
	}
	n, ok := integer(number)
	if !ok || n < 1 || n > int64(most) {
		r.refuse(vendor, "%s is %s, not a whole number from 1 to %d", key, clip(string(number)), most)
		return 1
	}
	return int(n)
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
