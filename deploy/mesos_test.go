package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// marathonGroup is what this repository uses of Marathon's Group (API v2).
type marathonGroup struct {
	ID   string        `json:"id"`
	Apps []marathonApp `json:"apps"`
}

type marathonApp struct {
	ID                    string            `json:"id"`
	Dependencies          []string          `json:"dependencies"`
	AcceptedResourceRoles []string          `json:"acceptedResourceRoles"`
	Instances             int               `json:"instances"`
	CPUs                  float64           `json:"cpus"`
	Mem                   float64           `json:"mem"`
	Args                  []string          `json:"args"`
	Env                   map[string]string `json:"env"`
	Container             struct {
		Type   string `json:"type"`
		Docker struct {
			Image          string `json:"image"`
			ForcePullImage bool   `json:"forcePullImage"`
			Parameters     []struct {
				Key   string `json:"key"`
				Value string `json:"value"`
			} `json:"parameters"`
		} `json:"docker"`
		PortMappings []struct {
			ContainerPort int    `json:"containerPort"`
			HostPort      *int   `json:"hostPort"`
			Protocol      string `json:"protocol"`
			Name          string `json:"name"`
		} `json:"portMappings"`
	} `json:"container"`
	Networks []struct {
		Mode string `json:"mode"`
	} `json:"networks"`
	HealthChecks []struct {
		Protocol               string `json:"protocol"`
		Path                   string `json:"path"`
		PortIndex              int    `json:"portIndex"`
		GracePeriodSeconds     int    `json:"gracePeriodSeconds"`
		IntervalSeconds        int    `json:"intervalSeconds"`
		TimeoutSeconds         int    `json:"timeoutSeconds"`
		MaxConsecutiveFailures int    `json:"maxConsecutiveFailures"`
	} `json:"healthChecks"`
	UpgradeStrategy *struct {
		MinimumHealthCapacity float64 `json:"minimumHealthCapacity"`
		MaximumOverCapacity   float64 `json:"maximumOverCapacity"`
	} `json:"upgradeStrategy"`
	TaskKillGracePeriodSeconds int `json:"taskKillGracePeriodSeconds"`
}

// environment is what Marathon gives a task, beside what the app's own env says:
// the host ports it chose, by index, container port and name.
func (a *marathonApp) environment() map[string]string {
	env := map[string]string{"HOST": "10.0.4.1", "MESOS_TASK_ID": "task.1", "MARATHON_APP_ID": a.ID}
	for i, m := range a.Container.PortMappings {
		port := strconv.Itoa(31000 + i)
		env["PORT"+strconv.Itoa(i)] = port
		env["PORT_"+strconv.Itoa(m.ContainerPort)] = port
		env["PORT_"+strings.ToUpper(m.Name)] = port
	}
	return env
}

func decodeGroup(t *testing.T, text []byte) marathonGroup {
	t.Helper()
	var g marathonGroup
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&g); err != nil {
		t.Fatal(err)
	}
	return g
}

func readGroup(t *testing.T) marathonGroup {
	t.Helper()
	text, err := os.ReadFile("mesos/funcatron.json")
	if err != nil {
		t.Fatal(err)
	}
	return decodeGroup(t, text)
}

func TestMesosGroup(t *testing.T) {
	im, known, g := readImage(t), variables(t), readGroup(t)
	if g.ID != "/funcatron" {
		t.Errorf("group %s", g.ID)
	}
	commands := map[string]string{"/funcatron/tron": "tron", "/funcatron/frontend": "gateway", "/funcatron/runner": "runner"}
	seen := map[string]bool{}
	for _, a := range g.Apps {
		for _, d := range a.Dependencies {
			if !seen[d] {
				t.Errorf("%s depends on %s, which is not before it", a.ID, d)
			}
		}
		seen[a.ID] = true
		if a.Instances < 1 || a.CPUs <= 0 || a.Mem <= 0 || a.Container.Type != "DOCKER" {
			t.Errorf("%s: %+v", a.ID, a)
		}
		if len(a.Networks) != 1 || a.Networks[0].Mode != "container/bridge" {
			t.Errorf("%s: networks %v", a.ID, a.Networks)
		}
		for _, m := range a.Container.PortMappings {
			// A plain Mesos agent offers no ports but 31000 to 32000.
			if m.HostPort == nil || *m.HostPort != 0 || m.Protocol != "tcp" || m.Name == "" {
				t.Errorf("%s: port %+v is not left to Marathon", a.ID, m)
			}
		}
		if len(a.HealthChecks) != 1 {
			t.Fatalf("%s: %d health checks", a.ID, len(a.HealthChecks))
		}
		h := a.HealthChecks[0]
		if h.PortIndex >= len(a.Container.PortMappings) {
			t.Fatalf("%s: health at port %d of %d", a.ID, h.PortIndex, len(a.Container.PortMappings))
		}
		if h.GracePeriodSeconds < 30 || h.MaxConsecutiveFailures < 2 || h.TimeoutSeconds >= h.IntervalSeconds {
			t.Errorf("%s: health check %+v", a.ID, h)
		}
		healthPort := strconv.Itoa(a.Container.PortMappings[h.PortIndex].ContainerPort)

		if a.ID == "/funcatron/rabbit" {
			if h.Protocol != "TCP" || healthPort != "5672" {
				t.Errorf("%s: health %s at %s", a.ID, h.Protocol, healthPort)
			}
			continue
		}
		if a.Container.Docker.Image != imageName {
			t.Errorf("%s: image %s", a.ID, a.Container.Docker.Image)
		}
		p := part{
			where: a.ID, args: a.Args, env: a.Env, given: a.environment(),
			grace: time.Duration(a.TaskKillGracePeriodSeconds) * time.Second,
		}
		checkPart(t, im, known, p)
		if len(a.Args) != 1 || a.Args[0] != commands[a.ID] {
			t.Errorf("%s runs %q", a.ID, a.Args)
			continue
		}
		if want := im.port(t, adminPort[a.Args[0]]); h.Protocol != "HTTP" || h.Path != "/healthz" || healthPort != want {
			t.Errorf("%s: health at %s %s of port %s, not of %s", a.ID, h.Protocol, h.Path, healthPort, want)
		}
		if a.Args[0] == "tron" {
			if u := a.UpgradeStrategy; u == nil || u.MinimumHealthCapacity != 0 || u.MaximumOverCapacity != 0 || a.Instances != 1 {
				t.Errorf("%s: two Trons would write one state: %+v", a.ID, u)
			}
			volume := false
			for _, p := range a.Container.Docker.Parameters {
				volume = volume || p.Key == "volume" && strings.HasSuffix(p.Value, ":"+im.volume)
			}
			if !volume {
				t.Errorf("%s: its state is lost with the container", a.ID)
			}
		}
	}
	if len(g.Apps) != 4 || len(seen) != 4 {
		t.Errorf("%d apps", len(g.Apps))
	}
}

// Mesos-DNS calls an app by its path's names from the last to the first, joined by
// dashes, and gives the host port and the agent's address in the SRV records
// under slave.mesos, one record a port: so RabbitMQ may have just one.
func TestMesosFindsRabbit(t *testing.T) {
	g := readGroup(t)
	names := strings.Split(strings.Trim(g.Apps[0].ID, "/"), "/")
	slices.Reverse(names)
	want := "_" + strings.Join(names, "-") + "._tcp.marathon.slave.mesos"
	if len(g.Apps[0].Container.PortMappings) != 1 {
		t.Errorf("%s has %d ports", g.Apps[0].ID, len(g.Apps[0].Container.PortMappings))
	}
	for _, a := range g.Apps[1:] {
		u, err := url.Parse(a.Env["FUNCATRON_RABBIT_URL"])
		if err != nil || u.Scheme != "amqp+srv" || u.Host != want {
			t.Errorf("%s looks for RabbitMQ at %v, %v; want the SRV name %s", a.ID, u.Redacted(), err, want)
		}
	}
}

// start.sh puts the group to a Marathon, and leaves out what only that of DC/OS
// can do where it is another.
func TestMesosStart(t *testing.T) {
	if !installed(t, "curl", "mesos/start.sh against a Marathon") {
		return
	}
	for _, tc := range []struct {
		name, info string
		status     int
		roles      []string
		fails      bool
	}{
		{"DC/OS", `{"marathon_config":{"mesos_role":"slave_public"}}`, 201, []string{"slave_public"}, false},
		{"plain Mesos", `{"marathon_config":{"mesos_role": null}}`, 201, nil, false},
		{"refused", `{"marathon_config":{}}`, 422, nil, true},
		{"no Marathon", "", 201, nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			put := make(chan []byte, 2)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /v2/info", func(w http.ResponseWriter, r *http.Request) {
				if tc.info == "" {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				fmt.Fprint(w, tc.info)
			})
			mux.HandleFunc("PUT /v2/groups", func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("PUT of %s: %v", r.Header.Get("Content-Type"), err)
				}
				put <- body
				w.WriteHeader(tc.status)
				fmt.Fprint(w, `{"version":"2016-12-09T20:31:31.000Z"}`)
			})
			marathon := httptest.NewServer(mux)
			defer marathon.Close()

			// From another folder: the script finds the group beside itself.
			script, err := filepath.Abs("mesos/start.sh")
			if err != nil {
				t.Fatal(err)
			}
			out, err := run(t, t.TempDir(), nil, script, marathon.URL)
			if (err != nil) != tc.fails {
				t.Errorf("start.sh: %v\n%s", err, out)
			}
			select {
			case body := <-put:
				g := decodeGroup(t, body)
				if len(g.Apps) != 4 || !slices.Equal(g.Apps[2].AcceptedResourceRoles, tc.roles) {
					t.Errorf("put %d apps, the gateway for roles %q; want %q", len(g.Apps), g.Apps[2].AcceptedResourceRoles, tc.roles)
				}
			default:
				if tc.info != "" {
					t.Errorf("nothing was put:\n%s", out)
				}
			}
		})
	}
	text, err := os.ReadFile("mesos/start.sh")
	if err != nil || !strings.Contains(string(text), "${1:-http://m1.dcos:8080}") {
		t.Errorf("the default is not the announcement's Marathon: %v", err)
	}
}

// The group is held against Marathon's own schemas, and against what the original
// system deployed, where a copy of those is at $FUNCATRON_REFERENCE/marathon.
func TestMesosReference(t *testing.T) {
	dir := os.Getenv("FUNCATRON_REFERENCE")
	if dir == "" {
		t.Log("not done, since FUNCATRON_REFERENCE names no folder: validation by Marathon's schemas")
		return
	}
	read := func(name string) any {
		t.Helper()
		f, err := os.Open(filepath.Join(dir, "marathon", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		doc, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return doc
	}
	c := jsonschema.NewCompiler()
	for _, name := range []string{"Group.json", "AppDefinition.json"} {
		doc := read(name)
		// They name no draft that exists, and one of them a place on the web.
		doc.(map[string]any)["$schema"] = "http://json-schema.org/draft-04/schema#"
		delete(doc.(map[string]any), "id")
		if err := c.AddResource("mem:///marathon/"+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile("mem:///marathon/Group.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("mesos/funcatron.json")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(ours); err != nil {
		t.Errorf("funcatron.json: %v", err)
	}
	original := read("original-start.json")
	if err := schema.Validate(original); err != nil {
		t.Errorf("original-start.json, which Marathon took: %v", err)
	}
	ours.(map[string]any)["apps"].([]any)[0].(map[string]any)["instances"] = "one"
	if schema.Validate(ours) == nil {
		t.Error("the schemas take an app with instances \"one\": they check nothing")
	}

	// The same four components, depending on each other as they did, so that the
	// group takes the original's place where that is installed.
	encoded, err := json.Marshal(original)
	if err != nil {
		t.Fatal(err)
	}
	var was marathonGroup
	if err := json.Unmarshal(encoded, &was); err != nil {
		t.Fatal(err)
	}
	g := readGroup(t)
	if g.ID != was.ID || len(g.Apps) != len(was.Apps) {
		t.Fatalf("group %s of %d apps, the original's %s of %d", g.ID, len(g.Apps), was.ID, len(was.Apps))
	}
	for i, a := range g.Apps {
		o := was.Apps[i]
		if a.ID != o.ID || !slices.Equal(a.Dependencies, o.Dependencies) || !slices.Equal(a.AcceptedResourceRoles, o.AcceptedResourceRoles) {
			t.Errorf("%s after %q for %q, the original's %s after %q for %q", a.ID, a.Dependencies, a.AcceptedResourceRoles,
				o.ID, o.Dependencies, o.AcceptedResourceRoles)
		}
	}
}
