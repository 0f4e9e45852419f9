package bind

import (
	"regexp"
	"runtime"
	"sync"
	"weak"
)

// patterns are those in use, by their text. A parameter that thousands of operations
// share has its pattern compiled once; what no document uses any more goes.
var patterns = struct {
	sync.Mutex
	compiled map[string]weak.Pointer[regexp.Regexp]
}{compiled: make(map[string]weak.Pointer[regexp.Regexp])}

// compilePattern compiles pattern, or gives what it was compiled to before.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	patterns.Lock()
	defer patterns.Unlock()
	if re := patterns.compiled[pattern].Value(); re != nil {
		return re, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	patterns.compiled[pattern] = weak.Make(re)
	runtime.AddCleanup(re, forgetPattern, pattern)
	return re, nil
}

func forgetPattern(pattern string) {
	patterns.Lock()
	defer patterns.Unlock()
	if patterns.compiled[pattern].Value() == nil { // it may have been compiled anew
		delete(patterns.compiled, pattern)
	}
}
