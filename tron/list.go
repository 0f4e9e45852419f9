package tron

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/funcatron/funcatron/tron/cluster"
)

// funcBundle is one bundle in known_funcs.
type funcBundle struct {
	Sha        string    `json:"sha"`
	Host       string    `json:"host"`
	Path       string    `json:"path"`
	Type       string    `json:"type"`
	Size       int64     `json:"size"` // bytes
	Git        string    `json:"git,omitempty"`
	Title      string    `json:"title"`
	Version    string    `json:"version,omitempty"`
	Uploaded   time.Time `json:"uploaded"`
	Warnings   int       `json:"warnings"` // how many add_func told
	Enabled    bool      `json:"enabled"`
	State      string    `json:"state,omitempty"` // where enabled
	Deployment string    `json:"deployment,omitempty"`
	Missing    bool      `json:"missing,omitempty"` // its file is gone: upload it again
}

func (t *Tron) knownFuncs(w http.ResponseWriter, _ *http.Request) {
	records, err := t.store.Bundles()
	if err != nil {
		t.failWith(w, err)
		return
	}
	live := make(map[string]cluster.Deployment)
	for _, d := range t.cluster.View().Deployments {
		if d.Current {
			live[d.Sha] = d
		}
	}
	list := make([]funcBundle, 0, len(records))
	for _, b := range records {
		d, enabled := live[b.Sha]
		list = append(list, funcBundle{
			Sha: b.Sha, Host: b.Host, Path: path(b.BasePath), Type: b.Type, Size: b.Size, Git: b.Git,
			Title: b.Title, Version: b.Version, Uploaded: b.Uploaded, Warnings: len(b.Warnings),
			Enabled: enabled, State: d.State, Deployment: d.ID, Missing: t.store.Missing(b.Sha),
		})
	}
	answer(w, http.StatusOK, map[string]any{"func-bundles": list})
}

// mapped is one route.
type mapped struct {
	Host       string            `json:"host"`
	Path       string            `json:"path"`
	Queue      string            `json:"queue"`
	Sha        string            `json:"sha"`
	Props      map[string]string `json:"props"`
	Deployment string            `json:"deployment"`
	State      string            `json:"state"`
}

func (t *Tron) routeMap(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, routesOf(t.cluster.View()))
}

// routesOf is the route map, longest path first.
func routesOf(v cluster.View) []mapped {
	list := []mapped{}
	for _, d := range v.Deployments {
		if d.Current {
			list = append(list, mapped{
				Host: d.Host, Path: path(d.BasePath), Queue: d.Queue, Sha: d.Sha,
				Props: hidden(d.Props), Deployment: d.ID, State: d.State,
			})
		}
	}
	return list
}

// hidden is props with every value hidden: passwords are among them.
func hidden(props json.RawMessage) map[string]string {
	var fields map[string]json.RawMessage
	if len(props) > 0 {
		if err := json.Unmarshal(props, &fields); err != nil {
			return map[string]string{}
		}
	}
	names := make(map[string]string, len(fields))
	for name := range fields {
		names[name] = "***"
	}
	return names
}
