package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// prometheusConfig is what this repository uses of Prometheus's configuration.
type prometheusConfig struct {
	Global struct {
		ScrapeInterval time.Duration `yaml:"scrape_interval"`
	} `yaml:"global"`
	ScrapeConfigs []struct {
		JobName       string `yaml:"job_name"`
		StaticConfigs []struct {
			Targets []string          `yaml:"targets"`
			Labels  map[string]string `yaml:"labels"`
		} `yaml:"static_configs"`
		DNS []struct {
			Names           []string      `yaml:"names"`
			Type            string        `yaml:"type"`
			Port            int           `yaml:"port"`
			RefreshInterval time.Duration `yaml:"refresh_interval"`
		} `yaml:"dns_sd_configs"`
		Kubernetes []struct {
			Role       string `yaml:"role"`
			Namespaces struct {
				OwnNamespace bool `yaml:"own_namespace"`
			} `yaml:"namespaces"`
		} `yaml:"kubernetes_sd_configs"`
		Marathon []struct {
			Servers []string `yaml:"servers"`
		} `yaml:"marathon_sd_configs"`
		Relabel []relabel `yaml:"relabel_configs"`
	} `yaml:"scrape_configs"`
}

type relabel struct {
	SourceLabels []string `yaml:"source_labels"`
	Regex        string   `yaml:"regex"`
	Action       string   `yaml:"action"`
	Replacement  string   `yaml:"replacement"`
	TargetLabel  string   `yaml:"target_label"`
}

// apply does to a target's labels what Prometheus does
// (https://prometheus.io/docs/prometheus/latest/configuration/configuration/#relabel_config),
// and tells whether the target is kept.
func apply(rules []relabel, target map[string]string) (map[string]string, error) {
	labels := maps.Clone(target)
	for _, r := range rules {
		var values []string
		for _, name := range r.SourceLabels {
			values = append(values, labels[name])
		}
		value := strings.Join(values, ";")
		if r.Regex == "" {
			r.Regex = "(.*)"
		}
		re, err := regexp.Compile("^(?s:" + r.Regex + ")$")
		if err != nil {
			return nil, err
		}
		m := re.FindStringSubmatchIndex(value)
		switch r.Action {
		case "keep":
			if m == nil {
				return nil, nil
			}
		case "keepequal":
			if value != labels[r.TargetLabel] {
				return nil, nil
			}
		case "":
			if r.Replacement == "" {
				r.Replacement = "$1"
			}
			if m != nil {
				labels[r.TargetLabel] = string(re.ExpandString(nil, r.Replacement, value, m))
			}
		default:
			return nil, fmt.Errorf("nothing checks the action %s", r.Action)
		}
	}
	return labels, nil
}

// Every file finds each part's admin port, and nothing else, on its substrate.
func TestPrometheus(t *testing.T) {
	im := readImage(t)
	want := map[string]bool{}
	for part, variable := range adminPort {
		want[part+":"+im.port(t, variable)] = true
	}
	label := func(prefix, name string) string {
		return prefix + regexp.MustCompile(`[^a-zA-Z0-9_]`).ReplaceAllString(name, "_")
	}

	// What the substrates offer, each as service discovery would describe it.
	var pods, tasks []map[string]string
	for _, w := range render(t).workloads {
		for _, p := range w.pod().Containers[0].Ports {
			target := map[string]string{
				"__meta_kubernetes_pod_container_port_number": strconv.Itoa(int(p.ContainerPort)),
				"__meta_kubernetes_pod_name":                  w.name + "-0",
				"port":                                        strconv.Itoa(int(p.ContainerPort)),
			}
			for k, v := range w.template.Labels {
				target[label("__meta_kubernetes_pod_label_", k)] = v
			}
			for k, v := range w.template.Annotations {
				target[label("__meta_kubernetes_pod_annotation_", k)] = v
			}
			pods = append(pods, target)
		}
	}
	for _, a := range readGroup(t).Apps {
		for i, p := range a.Container.PortMappings {
			tasks = append(tasks, map[string]string{
				"__meta_marathon_app": a.ID, "__meta_marathon_port_index": strconv.Itoa(i),
				"port": strconv.Itoa(p.ContainerPort),
			})
		}
	}
	swarm := readCompose(t, "swarm/stack.yml")

	files, err := filepath.Glob("monitoring/prometheus*.yml")
	if err != nil || len(files) != 4 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var c prometheusConfig
			d := yaml.NewDecoder(bytes.NewReader(text))
			d.KnownFields(true)
			if err := d.Decode(&c); err != nil {
				t.Fatal(err)
			}
			if len(c.ScrapeConfigs) != 1 || c.ScrapeConfigs[0].JobName != "funcatron" || c.Global.ScrapeInterval == 0 {
				t.Fatalf("%+v", c)
			}
			s := c.ScrapeConfigs[0]
			var targets []map[string]string
			for _, group := range s.StaticConfigs {
				for _, address := range group.Targets {
					target := map[string]string{"port": portOf(t, address)}
					maps.Copy(target, group.Labels)
					targets = append(targets, target)
				}
			}
			for _, q := range s.DNS {
				for _, host := range q.Names {
					if swarm.Services[strings.TrimPrefix(host, "tasks.")] == nil || q.Type != "A" {
						t.Errorf("swarm has no %s", host)
					}
					targets = append(targets, map[string]string{"__meta_dns_name": host, "port": strconv.Itoa(q.Port)})
				}
			}
			for _, k := range s.Kubernetes {
				if k.Role != "pod" || !k.Namespaces.OwnNamespace {
					t.Errorf("%+v", k)
				}
				targets = append(targets, pods...)
			}
			for range s.Marathon {
				targets = append(targets, tasks...)
			}
			got := map[string]bool{}
			for _, target := range targets {
				labels, err := apply(s.Relabel, target)
				if err != nil {
					t.Fatal(err)
				}
				if labels != nil {
					got[labels["part"]+":"+labels["port"]] = true
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("scrapes %q, want %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
			}
		})
	}
	if installed(t, "promtool", "promtool check config of monitoring/*.yml") {
		if out, err := run(t, ".", nil, "promtool", append([]string{"check", "config"}, files...)...); err != nil {
			t.Errorf("promtool check config: %v\n%s", err, out)
		}
	}
}
