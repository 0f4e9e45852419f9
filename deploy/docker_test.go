package deploy

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// composeFile is what this repository uses of the Compose file format
// (https://github.com/compose-spec/compose-spec), which stacks share.
type composeFile struct {
	Name     string                     `yaml:"name"`
	Part     yaml.Node                  `yaml:"x-part"`
	Services map[string]*composeService `yaml:"services"`
	Networks map[string]struct {
		Driver   string `yaml:"driver"`
		Internal bool   `yaml:"internal"`
	} `yaml:"networks"`
	Volumes map[string]*struct{} `yaml:"volumes"`
	Secrets map[string]struct {
		External bool   `yaml:"external"`
		Name     string `yaml:"name"`
	} `yaml:"secrets"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build *struct {
		Context string `yaml:"context"`
	} `yaml:"build"`
	Hostname    string              `yaml:"hostname"`
	Entrypoint  []string            `yaml:"entrypoint"`
	Command     []string            `yaml:"command"`
	Environment map[string]string   `yaml:"environment"`
	Init        bool                `yaml:"init"`
	ReadOnly    bool                `yaml:"read_only"`
	Tmpfs       []string            `yaml:"tmpfs"`
	CapDrop     []string            `yaml:"cap_drop"`
	SecurityOpt []string            `yaml:"security_opt"`
	Secrets     []string            `yaml:"secrets"`
	Volumes     []composeVolume     `yaml:"volumes"`
	Networks    composeNetworks     `yaml:"networks"`
	NetworkMode string              `yaml:"network_mode"`
	Ports       []composePort       `yaml:"ports"`
	Healthcheck *composeHealth      `yaml:"healthcheck"`
	Restart     string              `yaml:"restart"`
	StopGrace   time.Duration       `yaml:"stop_grace_period"`
	DependsOn   map[string]struct { // the long form
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Deploy struct {
		Replicas  int `yaml:"replicas"`
		Placement struct {
			Constraints []string `yaml:"constraints"`
		} `yaml:"placement"`
		UpdateConfig struct {
			Order         string `yaml:"order"`
			Parallelism   int    `yaml:"parallelism"`
			FailureAction string `yaml:"failure_action"`
		} `yaml:"update_config"`
		RollbackConfig struct {
			Order string `yaml:"order"`
		} `yaml:"rollback_config"`
		RestartPolicy struct {
			Condition string        `yaml:"condition"`
			Delay     time.Duration `yaml:"delay"`
		} `yaml:"restart_policy"`
		Resources struct {
			Limits struct {
				Memory string `yaml:"memory"`
			} `yaml:"limits"`
		} `yaml:"resources"`
	} `yaml:"deploy"`
}

type composeHealth struct {
	Test        []string      `yaml:"test"`
	Interval    time.Duration `yaml:"interval"`
	Timeout     time.Duration `yaml:"timeout"`
	Retries     int           `yaml:"retries"`
	StartPeriod time.Duration `yaml:"start_period"`
}

// composeVolume is a mount; Source is "" for an anonymous volume.
type composeVolume struct {
	Source, Target string
	ReadOnly       bool
}

func (v *composeVolume) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		f := strings.Split(n.Value, ":")
		switch len(f) {
		case 1:
			v.Target = f[0]
		case 2:
			v.Source, v.Target = f[0], f[1]
		default:
			v.Source, v.Target, v.ReadOnly = f[0], f[1], f[2] == "ro"
		}
		return nil
	}
	var long struct{ Type, Target string }
	if err := n.Decode(&long); err != nil || long.Type != "volume" {
		return fmt.Errorf("line %d: volume %+v: %w", n.Line, long, err)
	}
	v.Target = long.Target
	return nil
}

// composePort is a published port; Host is "" for every address of the machine.
type composePort struct{ Host, Published, Target, Mode string }

func (p *composePort) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		f := strings.Split(n.Value, ":")
		if len(f) == 3 {
			p.Host, f = f[0], f[1:]
		}
		if len(f) != 2 {
			return fmt.Errorf("line %d: port %s", n.Line, n.Value)
		}
		p.Published, p.Target = f[0], f[1]
		return nil
	}
	var long struct{ Target, Published, Protocol, Mode string }
	if err := n.Decode(&long); err != nil || long.Protocol != "tcp" {
		return fmt.Errorf("line %d: port %+v: %w", n.Line, long, err)
	}
	p.Published, p.Target, p.Mode = long.Published, long.Target, long.Mode
	return nil
}

// composeNetworks is the names of networks, with the service's aliases there.
type composeNetworks map[string][]string

func (c *composeNetworks) UnmarshalYAML(n *yaml.Node) error {
	*c = composeNetworks{}
	if n.Kind == yaml.SequenceNode {
		var names []string
		if err := n.Decode(&names); err != nil {
			return err
		}
		for _, name := range names {
			(*c)[name] = nil
		}
		return nil
	}
	var long map[string]struct{ Aliases []string }
	if err := n.Decode(&long); err != nil {
		return err
	}
	for name, at := range long {
		(*c)[name] = at.Aliases
	}
	return nil
}

func readCompose(t *testing.T, name string) *composeFile {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f := &composeFile{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return f
}

// checkCompose holds what a stack and a Compose file have in common, and gives
// the ports that they publish.
func checkCompose(t *testing.T, f *composeFile, secrets func(*composeService) []string) (published []string) {
	t.Helper()
	im, known := readImage(t), variables(t)
	for _, name := range []string{"rabbitmq", "tron", "gateway", "runner"} {
		s := f.Services[name]
		if s == nil {
			t.Fatalf("no service %s", name)
		}
		for network := range s.Networks {
			if _, ok := f.Networks[network]; !ok {
				t.Errorf("%s: network %s is not defined", name, network)
			}
		}
		for _, v := range s.Volumes {
			if _, ok := f.Volumes[v.Source]; !ok && v.Source != "" {
				t.Errorf("%s: volume %s is not defined", name, v.Source)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := f.Secrets[secret]; !ok {
				t.Errorf("%s: secret %s is not defined", name, secret)
			}
		}
		if s.Deploy.Resources.Limits.Memory == "" {
			t.Errorf("%s: may take all memory", name)
		}
		if name == "rabbitmq" {
			if len(s.Networks) != 1 || !f.Networks["bus"].Internal || s.Ports != nil {
				t.Errorf("rabbitmq is reached from outside: %v", s.Networks)
			}
			if h := s.Healthcheck; h == nil || h.Test[0] != "CMD" || h.Timeout >= h.Interval {
				t.Errorf("rabbitmq: health check %+v", h)
			}
			continue
		}
		if s.Image != imageName || !s.Init || !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.Tmpfs, []string{"/tmp"}) {
			t.Errorf("%s: image %s, or it may do more than it has to", name, s.Image)
		}
		if !slices.Equal(s.Command, []string{name}) || s.Entrypoint != nil || s.Healthcheck != nil {
			t.Errorf("%s runs %q; entrypoint and health check are the image's", name, s.Command)
		}
		env := map[string]string{}
		for k, v := range s.Environment {
			env[k] = strings.ReplaceAll(v, "{{.Node.Hostname}}", "node-1")
		}
		checkPart(t, im, known, part{where: name, args: s.Command, env: env, grace: s.StopGrace, files: secrets(s)})

		u, err := url.Parse(env["FUNCATRON_RABBIT_URL"])
		if err != nil || u.Host != "rabbitmq:5672" || u.User.Username() != f.Services["rabbitmq"].Environment["RABBITMQ_DEFAULT_USER"] {
			t.Errorf("%s: RabbitMQ is said to be at %s", name, u.Redacted())
		}
		if name == "runner" && !regexp.MustCompile(`^http://(tasks\.)?tron:`+im.port(t, "FUNCATRON_TRON_LISTEN")+`$`).MatchString(env["FUNCATRON_TRON_URL"]) {
			t.Errorf("runner: fetches bundles from %s", env["FUNCATRON_TRON_URL"])
		}
		state := false
		for _, v := range s.Volumes {
			if v.Target == im.volume {
				state = true
				if (v.Source != "") != (name == "tron") {
					t.Errorf("%s: state in volume %q; the Tron's has to last, and the others' must not be shared", name, v.Source)
				}
			}
		}
		if !state {
			t.Errorf("%s: %s cannot be written", name, im.volume)
		}
		for _, p := range s.Ports {
			if !slices.Contains(im.expose, p.Target) {
				t.Errorf("%s: port %s is not one of the image's", name, p.Target)
			}
			published = append(published, strings.TrimPrefix(p.Host+":"+p.Published+":"+p.Target, ":"))
			if u, err := url.Parse(env["FUNCATRON_"+strings.ToUpper(name)+"_URL"]); err != nil || u.Port() != p.Published {
				t.Errorf("%s: published at %s and said to be at %s", name, p.Published, u)
			}
		}
	}
	slices.Sort(published)
	return published
}

func TestSwarmStack(t *testing.T) {
	f := readCompose(t, "swarm/stack.yml")
	if len(f.Services) != 4 {
		t.Errorf("%d services", len(f.Services))
	}
	published := checkCompose(t, f, func(s *composeService) (files []string) {
		for _, name := range s.Secrets {
			files = append(files, "/run/secrets/"+name)
		}
		return files
	})
	if !slices.Equal(published, []string{"3000:3000", "8080:8080"}) {
		t.Errorf("published are %q", published)
	}
	for name, s := range f.Services {
		// What swarm ignores or refuses.
		if s.Restart != "" || s.DependsOn != nil || s.Build != nil || s.SecurityOpt != nil || s.NetworkMode != "" {
			t.Errorf("%s: a setting that swarm does not know", name)
		}
		one := name == "rabbitmq" || name == "tron"
		d := s.Deploy
		if want := map[bool]string{true: "stop-first", false: "start-first"}[one]; d.UpdateConfig.Order != want || (d.Replicas == 1) != one {
			t.Errorf("%s: %d replicas, updated %s", name, d.Replicas, d.UpdateConfig.Order)
		}
		if d.RestartPolicy.Condition != "any" {
			t.Errorf("%s: not started again when it ends", name)
		}
		pinned := slices.Contains(d.Placement.Constraints, "node.labels.funcatron.tron == true")
		if pinned != (name == "tron") {
			t.Errorf("%s: placement %q", name, d.Placement.Constraints)
		}
	}
	if !installed(t, "docker", "docker stack config of swarm/stack.yml") {
		return
	}
	out, err := run(t, ".", nil, "docker", "stack", "config", "--compose-file", "swarm/stack.yml")
	if err != nil {
		t.Fatalf("docker stack config: %v\n%s", err, out)
	}
	if strings.Contains(out, "nsupported") {
		t.Errorf("docker stack config:\n%s", out)
	}
	t.Log("done: docker stack config takes swarm/stack.yml")
}

func TestCompose(t *testing.T) {
	f := readCompose(t, "compose/compose.yml")
	if len(f.Services) != 5 || len(f.Secrets) != 0 {
		t.Errorf("%d services", len(f.Services))
	}
	drawn := map[string]string{} // where "secrets" writes to, by volume
	for _, v := range f.Services["secrets"].Volumes {
		drawn[v.Source] = v.Target
	}
	script := f.Services["secrets"].Command[0]
	published := checkCompose(t, f, func(s *composeService) (files []string) {
		for _, v := range s.Volumes {
			from, ok := drawn[v.Source]
			if !ok {
				continue
			}
			if !v.ReadOnly {
				t.Errorf("%v may change the secrets in %s", s.Command, v.Source)
			}
			for _, m := range regexp.MustCompile(`draw (`+from+`/\S+)`).FindAllStringSubmatch(script, -1) {
				files = append(files, v.Target+strings.TrimPrefix(m[1], from))
			}
		}
		return files
	})
	if !slices.Equal(published, []string{"127.0.0.1:3000:3000", "8080:8080"}) {
		t.Errorf("published are %q", published)
	}
	for name, s := range f.Services {
		if name == "secrets" {
			if s.Restart != "no" || s.NetworkMode != "none" {
				t.Errorf("secrets: restart %q, network %q", s.Restart, s.NetworkMode)
			}
			continue
		}
		if s.Restart != "unless-stopped" || s.DependsOn["secrets"].Condition != "service_completed_successfully" {
			t.Errorf("%s: restart %s, depends on %v", name, s.Restart, s.DependsOn)
		}
		if s.Build == nil {
			if name != "rabbitmq" {
				t.Errorf("%s: cannot be built from the repository", name)
			}
			continue
		}
		if _, err := os.Stat(filepath.Join("compose", s.Build.Context, "Dockerfile")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if aliases := s.Networks["bus"]; !slices.Equal(aliases, []string{"tasks." + name}) {
			t.Errorf("%s: aliases %q; Prometheus looks for what swarm calls tasks.%s", name, aliases, name)
		}
	}
	if out, err := run(t, ".", nil, "docker", "compose", "version"); err != nil {
		t.Logf("not done, since there is no docker compose here (%s): docker compose config", strings.TrimSpace(out))
		return
	}
	if out, err := run(t, ".", nil, "docker", "compose", "--file", "compose/compose.yml", "config", "--quiet"); err != nil {
		t.Fatalf("docker compose config: %v\n%s", err, out)
	}
	t.Log("done: docker compose config takes compose/compose.yml")
}

// The service "secrets" draws each secret once, for everybody in the containers
// that mount it and for nobody else.
func TestComposeSecrets(t *testing.T) {
	s := readCompose(t, "compose/compose.yml").Services["secrets"]
	root := t.TempDir()
	for _, v := range s.Volumes {
		if err := os.MkdirAll(filepath.Join(root, v.Target), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := strings.ReplaceAll(s.Command[0], "$$", "$") // as Compose does
	script = strings.ReplaceAll(script, "/secrets/", root+"/secrets/")
	args := append(slices.Clone(s.Entrypoint[1:]), script)
	var first []string
	for range 2 {
		if out, err := run(t, root, nil, s.Entrypoint[0], args...); err != nil || out != "" {
			t.Fatalf("%v\n%s", err, out)
		}
		var now []string
		for _, name := range []string{"rabbit/password", "tron/admin-token"} {
			path := filepath.Join(root, "secrets", name)
			text, err := os.ReadFile(path)
			if err != nil || !regexp.MustCompile(`^[0-9a-f]{64}$`).Match(text) {
				t.Fatalf("%s: %q, %v", name, text, err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o444 {
				t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
			}
			now = append(now, string(text))
		}
		if now[0] == now[1] {
			t.Error("the token is the password")
		}
		if first != nil && !slices.Equal(first, now) {
			t.Error("drawn again: RabbitMQ would no longer let the parts in")
		}
		first = now
	}
}

// RabbitMQ's own command reads the password from the file that the parts read.
func TestRabbitPassword(t *testing.T) {
	for _, name := range []string{"swarm/stack.yml", "compose/compose.yml"} {
		f := readCompose(t, name)
		s := f.Services["rabbitmq"]
		command := strings.ReplaceAll(strings.Join(s.Entrypoint, " "), "$$", "$")
		file := regexp.MustCompile(`\$\(cat (\S+)\)`).FindStringSubmatch(command)
		if file == nil || file[1] != f.Services["tron"].Environment["FUNCATRON_RABBIT_PASSWORD_FILE"] {
			t.Fatalf("%s: rabbitmq's password is in %q", name, file)
		}
		password := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(password, []byte("s3cret"), 0o600); err != nil {
			t.Fatal(err)
		}
		env := standIn(t, "docker-entrypoint.sh", `echo "$1 $RABBITMQ_DEFAULT_PASS"`)
		shell := strings.ReplaceAll(strings.ReplaceAll(s.Entrypoint[2], "$$", "$"), file[1], password)
		out, err := run(t, ".", env, s.Entrypoint[0], s.Entrypoint[1], shell)
		if err != nil || out != "rabbitmq-server s3cret\n" {
			t.Errorf("%s: rabbitmq starts as %q, %v", name, out, err)
		}
		if out, err := run(t, ".", env, s.Entrypoint[0], s.Entrypoint[1], strings.ReplaceAll(shell, password, password+".none")); err == nil {
			t.Errorf("%s: rabbitmq starts without a password: %q", name, out)
		}
	}
}

// start.sh draws the secrets that the stack asks for and labels the Tron's node,
// both once.
func TestSwarmStart(t *testing.T) {
	dir := t.TempDir()
	env := standIn(t, "docker", `
echo "$*" >>"`+dir+`/calls"
case "$1 $2" in
"secret ls") [ ! -e "`+dir+`/${5#name=}" ] || echo id ;;
"secret create") cat >"`+dir+`/$3" ;;
"node ls") [ ! -e "`+dir+`/label" ] || echo id ;;
"node update") echo "$4 $5" >"`+dir+`/label" ;;
"info --format") echo this-node ;;
esac
`)
	script, err := filepath.Abs("swarm/start.sh")
	if err != nil {
		t.Fatal(err)
	}
	var said [2]string
	for i := range said {
		if said[i], err = run(t, t.TempDir(), env, script); err != nil {
			t.Fatalf("%v\n%s", err, said[i])
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	calls := string(text)
	token, err := os.ReadFile(filepath.Join(dir, "funcatron_admin_token"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said[0], "\nexport FUNCATRON_ADMIN_TOKEN="+string(token)+"\n") || strings.Contains(said[1], "TOKEN") {
		t.Errorf("the token is told once, at first; said was\n%s\nand\n%s", said[0], said[1])
	}
	if strings.Contains(calls, string(token)) {
		t.Error("the token is in an argument, which everybody on the machine can read")
	}
	for call, want := range map[string]int{
		"secret create funcatron_admin_token -\n":                     1,
		"secret create funcatron_rabbit_password -\n":                 1,
		"node update --label-add funcatron.tron=true this-node\n":     1,
		"stack deploy --compose-file stack.yml funcatron\n":           2,
		"node ls --quiet --filter node.label=funcatron.tron=true\n":   2,
		"secret ls --quiet --filter name=funcatron_admin_token\n":     2,
		"secret ls --quiet --filter name=funcatron_rabbit_password\n": 2,
	} {
		if got := strings.Count(calls, call); got != want {
			t.Errorf("%d times %q, want %d, in\n%s", got, call, want, calls)
		}
	}
	var drawn []string
	for _, s := range readCompose(t, "swarm/stack.yml").Secrets {
		text, err := os.ReadFile(filepath.Join(dir, s.Name))
		if err != nil || !s.External || !regexp.MustCompile(`^[0-9a-f]{64}$`).Match(text) {
			t.Errorf("secret %s: %q, %v", s.Name, text, err)
		}
		drawn = append(drawn, string(text))
	}
	if len(drawn) != 2 || drawn[0] == drawn[1] {
		t.Errorf("%d secrets, or the same twice", len(drawn))
	}
}
