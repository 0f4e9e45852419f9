package logline

import "strings"

// Label escapes the value of a metric's label, as the Prometheus text format has
// it: backslash, quote and newline, and nothing that is not UTF-8.
func Label(s string) string {
	return labelEscapes.Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
