package tron

import (
	"net/http"
	"strings"
)

// commands are what to type, with the real address. A secret is never printed:
// the header names the variable that holds it.
func (t *Tron) commands() []string {
	var wget, curl string
	if !t.access.open {
		wget = `--header="Authorization: Bearer $FUNCATRON_ADMIN_TOKEN" `
		curl = `-H "Authorization: Bearer $FUNCATRON_ADMIN_TOKEN" `
	}
	if t.opts.TLS != nil && t.opts.TLS.Mutual() {
		wget = "--certificate=YOUR_CERT --private-key=YOUR_KEY " + wget
		curl = "--cert YOUR_CERT --key YOUR_KEY " + curl
	}
	api := t.url + "/api/v1/"
	return []string{
		"Upload a Func Bundle: wget -q -O - " + wget + "--post-file=THE_UBERJAR " + api + "add_func",
		"List known Func Bundles: curl -v " + curl + api + "known_funcs",
		"Enable a Func Bundle: curl -v " + curl + `-H "Content-Type: application/json" -d '{"sha":"THE-SHA-HERE", "props": {"key": "value"}}' -X POST ` + api + "enable",
	}
}

// disableCommand is the one that takes a bundle off.
func (t *Tron) disableCommand() string {
	enable := t.commands()[2]
	_, command, _ := strings.Cut(enable, ": ")
	command = strings.Replace(command, `, "props": {"key": "value"}`, "", 1)
	return strings.TrimSuffix(command, "enable") + "disable"
}

// announce prints them, as the original does at its start.
func (t *Tron) announce() {
	for _, line := range t.commands() {
		t.log.Info(line)
	}
}

func (t *Tron) help(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("This is the Tron of a Funcatron cluster.\n\n")
	for _, line := range t.commands() {
		what, command, _ := strings.Cut(line, ": ")
		b.WriteString(what + ":\n    " + command + "\n\n")
	}
	b.WriteString("Disable a Func Bundle:\n    " + t.disableCommand() + "\n\n")
	for _, more := range [][2]string{
		{"The route map, and who is connected", "GET /api/v1/routes, GET /api/v1/stats"},
		{"This API in Swagger 2.0", "GET /api/v1/swagger.json"},
		{"Metrics and health", "GET /metrics, GET /healthz, GET /readyz"},
	} {
		b.WriteString(more[0] + ":\n    " + more[1] + "\n\n")
	}
	text(w, http.StatusOK, b.String())
}
