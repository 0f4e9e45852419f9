package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/valyala/fasthttp"
)

// page is what `/` shows where no bundle claims it. It tells strangers nothing of
// what is served here.
const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Funcatron</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}</style></head>
<body>
<h1>Funcatron gateway</h1>
<p>The gateway is up. No Func Bundle is enabled at this address, so there is nothing here yet.</p>
<p>Upload a Func Bundle to the Tron and enable it; the Tron's log, and its own start page, show the commands.
The gateway's admin port lists the routes at <code>/__routes</code>.</p>
</body></html>
`

func showPage(rc *fasthttp.RequestCtx) {
	rc.SetContentType("text/html; charset=utf-8")
	rc.SetBodyString(page)
}

// routeRow is a row of GET /__routes.
type routeRow struct {
	Host       string         `json:"host"`
	Path       string         `json:"path"`
	Sha        string         `json:"sha"`
	Deployment string         `json:"deployment"`
	Queue      string         `json:"queue"`
	Alive      bool           `json:"alive"` // a runner serves its queue, as far as is known
	Operations []operationRow `json:"operations"`
}

type operationRow struct {
	Method      string `json:"method"`
	Path        string `json:"path"`
	OperationID string `json:"operationId"`
}

func (g *Gateway) showRoutes(w http.ResponseWriter, _ *http.Request) {
	state := g.routes.current.Load()
	rows := make([]routeRow, 0, len(state.deployments))
	for _, d := range state.deployments {
		row := routeRow{
			Host: d.item.Host, Path: d.item.BasePath, Sha: d.item.Sha, Deployment: d.item.Deployment,
			Queue: d.item.Queue, Alive: !d.dead.Load(), Operations: []operationRow{},
		}
		for _, op := range d.item.Bundle.Ops() {
			row.Operations = append(row.Operations, operationRow{op.Method, op.Path, op.ID})
		}
		rows = append(rows, row)
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(map[string]any{"epoch": state.epoch, "version": state.version, "routes": rows}) // the client may be gone
}
