package deploy

import (
	"bytes"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// workload is a Deployment or StatefulSet.
type workload struct {
	name     string
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	replicas int32
	claims   []corev1.PersistentVolumeClaim
}

func (w *workload) pod() *corev1.PodSpec { return &w.template.Spec }

// cluster is the rendered base.
type cluster struct {
	namespaces []*corev1.Namespace
	services   []*corev1.Service
	workloads  []*workload
	policies   []*networkingv1.NetworkPolicy
	budgets    []*policyv1.PodDisruptionBudget
}

// strict decodes an object of the groups that are used here, and refuses a field
// that its type does not have, or has twice.
func strict(t *testing.T, document []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	obj, _, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return obj
}

func render(t *testing.T) *cluster {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{}
	for _, r := range resources.Resources() {
		document, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch o := strict(t, document).(type) {
		case *corev1.Namespace:
			c.namespaces = append(c.namespaces, o)
			continue
		case *corev1.Service:
			c.services = append(c.services, o)
		case *networkingv1.NetworkPolicy:
			c.policies = append(c.policies, o)
		case *policyv1.PodDisruptionBudget:
			c.budgets = append(c.budgets, o)
		case *appsv1.Deployment:
			if u := o.Spec.Strategy.RollingUpdate; u == nil || u.MaxUnavailable == nil || u.MaxUnavailable.IntValue() != 0 {
				t.Errorf("%s: an update takes capacity away", o.Name)
			}
			c.workloads = append(c.workloads, &workload{o.Name, o.Spec.Selector, o.Spec.Template, *o.Spec.Replicas, nil})
		case *appsv1.StatefulSet:
			found := slices.ContainsFunc(c.services, func(s *corev1.Service) bool { return s.Name == o.Spec.ServiceName })
			if !found {
				t.Errorf("%s: no service %s before it", o.Name, o.Spec.ServiceName)
			}
			c.workloads = append(c.workloads, &workload{o.Name, o.Spec.Selector, o.Spec.Template, *o.Spec.Replicas, o.Spec.VolumeClaimTemplates})
		default:
			t.Fatalf("nothing checks a %T", o)
		}
		if r.GetNamespace() != "funcatron" {
			t.Errorf("%s %s is in the namespace %q", r.GetKind(), r.GetName(), r.GetNamespace())
		}
	}
	return c
}

// selected gives the workloads whose pods a selector takes.
func (c *cluster) selected(t *testing.T, s *metav1.LabelSelector) (out []*workload) {
	t.Helper()
	sel, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range c.workloads {
		if sel.Matches(labels.Set(w.template.Labels)) {
			out = append(out, w)
		}
	}
	return out
}

// port gives the number of a container's port, named or not, and 0 where there is
// none.
func (w *workload) port(p intstr.IntOrString) int32 {
	for _, c := range w.pod().Containers {
		for _, q := range c.Ports {
			if p.Type == intstr.String && q.Name == p.StrVal || p.Type == intstr.Int && q.ContainerPort == p.IntVal {
				return q.ContainerPort
			}
		}
	}
	return 0
}

// expand fills in $(NAME) as the kubelet does: with variables defined before.
func expand(t *testing.T, where string, list []corev1.EnvVar) map[string]string {
	t.Helper()
	env := map[string]string{}
	reference := regexp.MustCompile(`\$\((\w+)\)`)
	for _, e := range list {
		if e.ValueFrom != nil {
			switch {
			case e.ValueFrom.FieldRef != nil && e.ValueFrom.FieldRef.FieldPath == "metadata.namespace":
				env[e.Name] = "funcatron"
			case e.ValueFrom.SecretKeyRef != nil:
				env[e.Name] = "secret"
			default:
				t.Errorf("%s: nothing checks where %s comes from", where, e.Name)
			}
			continue
		}
		env[e.Name] = reference.ReplaceAllStringFunc(e.Value, func(s string) string {
			v, ok := env[s[2:len(s)-1]]
			if !ok {
				t.Errorf("%s: %s uses %s, which is not defined before it", where, e.Name, s)
			}
			return v
		})
	}
	return env
}

func TestKubernetesPods(t *testing.T) {
	im, known, c := readImage(t), variables(t), render(t)
	user, err := strconv.ParseInt(strings.Split(im.user, ":")[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, w := range c.workloads {
		names = append(names, w.name)
		pod := w.pod()
		if got := c.selected(t, w.selector); len(got) != 1 || got[0] != w {
			t.Errorf("%s: its selector takes the pods of %d workloads", w.name, len(got))
		}
		if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
			t.Fatalf("%s: %d containers", w.name, len(pod.Containers))
		}
		k := pod.Containers[0]

		s, ks := pod.SecurityContext, k.SecurityContext
		if s == nil || ks == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
			s.FSGroup == nil || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
			ks.AllowPrivilegeEscalation == nil || *ks.AllowPrivilegeEscalation ||
			ks.Capabilities == nil || !slices.Equal(ks.Capabilities.Drop, []corev1.Capability{"ALL"}) || ks.Capabilities.Add != nil {
			t.Errorf("%s: the restricted Pod Security Standard refuses it", w.name)
		}
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: functions would hold a token for the Kubernetes API", w.name)
		}
		if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			t.Errorf("%s: the addresses of services would be in its environment", w.name)
		}
		if k.Resources.Limits.Memory().IsZero() || k.Resources.Requests.Cpu().IsZero() || k.Resources.Requests.Memory().IsZero() {
			t.Errorf("%s: resources %v", w.name, k.Resources)
		}
		for _, p := range []*corev1.Probe{k.StartupProbe, k.ReadinessProbe, k.LivenessProbe} {
			switch {
			case p == nil:
				t.Errorf("%s: a probe is missing", w.name)
			case p.HTTPGet != nil && w.port(p.HTTPGet.Port) == 0:
				t.Errorf("%s: probes port %v, which no container has", w.name, p.HTTPGet.Port)
			case p.TCPSocket != nil && w.port(p.TCPSocket.Port) == 0:
				t.Errorf("%s: probes port %v, which no container has", w.name, p.TCPSocket.Port)
			case p.HTTPGet == nil && p.TCPSocket == nil:
				t.Errorf("%s: a probe asks nothing", w.name)
			}
		}

		volumes := map[string]corev1.Volume{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = v
		}
		for _, v := range w.claims {
			volumes[v.Name] = corev1.Volume{Name: v.Name}
		}
		mounted, files := map[string]string{}, []string(nil)
		for _, m := range k.VolumeMounts {
			v, ok := volumes[m.Name]
			if !ok {
				t.Errorf("%s: mounts %s, which is no volume", w.name, m.Name)
			}
			mounted[m.MountPath] = m.Name
			if v.Secret != nil {
				if m := *v.Secret.DefaultMode; m != 0o440 {
					t.Errorf("%s: secrets of mode %o", w.name, m)
				}
				for _, i := range v.Secret.Items {
					files = append(files, m.MountPath+"/"+i.Path)
				}
			}
			delete(volumes, m.Name)
		}
		if len(volumes) != 0 {
			t.Errorf("%s: volumes %v are not mounted", w.name, slices.Collect(maps.Keys(volumes)))
		}
		if w.name == "rabbitmq" {
			continue
		}

		if k.Image != imageName || *s.RunAsUser != user || *s.FSGroup != user {
			t.Errorf("%s: image %s as user %d of group %d; the image's is %s", w.name, k.Image, *s.RunAsUser, *s.FSGroup, im.user)
		}
		if ks.ReadOnlyRootFilesystem == nil || !*ks.ReadOnlyRootFilesystem || mounted[im.volume] == "" || mounted["/tmp"] == "" {
			t.Errorf("%s: only %s and /tmp are to be written; mounted are %v", w.name, im.volume, mounted)
		}
		if w.name == "tron" && (w.replicas != 1 || len(w.claims) != 1 || mounted[im.volume] != w.claims[0].Name) {
			t.Errorf("tron: %d of it, state in %q", w.replicas, mounted[im.volume])
		}
		checkPart(t, im, known, part{
			where: "kubernetes " + w.name, args: k.Args, env: expand(t, w.name, k.Env), files: files,
			grace: time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second,
		})
		if len(k.Args) != 1 || k.Args[0] != w.name {
			t.Fatalf("%s runs %q", w.name, k.Args)
		}
		admin := im.port(t, adminPort[w.name])
		for path, p := range map[string]*corev1.Probe{"/healthz": k.LivenessProbe, "/readyz": k.ReadinessProbe} {
			if p.HTTPGet == nil || p.HTTPGet.Path != path || strconv.Itoa(int(w.port(p.HTTPGet.Port))) != admin {
				t.Errorf("%s: probe %+v is not of %s on port %s", w.name, p.HTTPGet, path, admin)
			}
		}
		for _, p := range k.Ports {
			if !slices.Contains(im.expose, strconv.Itoa(int(p.ContainerPort))) {
				t.Errorf("%s: port %d is not one of the image's", w.name, p.ContainerPort)
			}
		}
		if got := w.template.Annotations["prometheus.io/port"]; got != admin {
			t.Errorf("%s: metrics are said to be at port %q, and are at %s", w.name, got, admin)
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{"gateway", "rabbitmq", "runner", "tron"}) {
		t.Errorf("workloads %q", names)
	}
}

func TestKubernetesServices(t *testing.T) {
	im, c := readImage(t), render(t)
	var hosts []string
	for _, s := range c.services {
		ws := c.selected(t, &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
		if len(ws) != 1 || ws[0].name != s.Name {
			t.Fatalf("service %s: selects %d workloads", s.Name, len(ws))
		}
		for _, p := range s.Spec.Ports {
			number := ws[0].port(p.TargetPort)
			if number == 0 {
				t.Errorf("service %s: sends to port %v, which no container has", s.Name, p.TargetPort)
			}
			hosts = append(hosts, s.Name+":"+strconv.Itoa(int(p.Port)), s.Name+".funcatron:"+strconv.Itoa(int(p.Port)))
			if s.Name == "gateway" && strconv.Itoa(int(number)) != im.port(t, "FUNCATRON_GATEWAY_LISTEN") {
				t.Errorf("clients reach port %d", number)
			}
		}
		if outside := s.Spec.Type == corev1.ServiceTypeLoadBalancer; outside != (s.Name == "gateway") {
			t.Errorf("service %s is of type %s", s.Name, s.Spec.Type)
		}
	}
	var account string // the user that RabbitMQ makes
	for _, w := range c.workloads {
		if w.name == "rabbitmq" {
			account = expand(t, w.name, w.pod().Containers[0].Env)["RABBITMQ_DEFAULT_USER"]
		}
	}
	// What the pods are told of each other are addresses of these services.
	for _, w := range c.workloads {
		for name, value := range expand(t, w.name, w.pod().Containers[0].Env) {
			if !strings.HasPrefix(name, "FUNCATRON_") || !strings.HasSuffix(name, "_URL") {
				continue
			}
			u, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			host := u.Host
			if u.Port() == "" {
				host += ":80"
			}
			if !slices.Contains(hosts, host) {
				t.Errorf("%s: %s is %s; services are %q", w.name, name, value, hosts)
			}
			if u.Scheme == "amqp" && (account == "" || u.User.Username() != account) {
				t.Errorf("%s: goes to RabbitMQ as %v, which knows %q", w.name, u.User, account)
			}
		}
	}
	for _, b := range c.budgets {
		ws := c.selected(t, b.Spec.Selector)
		if len(ws) != 1 || ws[0].replicas < 2 {
			t.Errorf("disruption budget %s would block a drain: %d workloads", b.Name, len(ws))
		}
	}
	if len(c.budgets) != 2 {
		t.Errorf("%d disruption budgets", len(c.budgets))
	}
}

// Everything is closed but: clients to the gateway, the parts to RabbitMQ, the
// namespace to the Tron and to metrics.
func TestKubernetesNetwork(t *testing.T) {
	c := render(t)
	if len(c.namespaces) != 1 || c.namespaces[0].Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("namespaces %v", c.namespaces)
	}
	allowed := map[string]string{} // workload:port to who may, as the pods it names
	closed := false
	for _, p := range c.policies {
		if !slices.Equal(p.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) {
			t.Errorf("policy %s: types %v", p.Name, p.Spec.PolicyTypes)
		}
		ws := c.selected(t, &p.Spec.PodSelector)
		if len(p.Spec.Ingress) == 0 {
			closed = closed || len(ws) == len(c.workloads)
			continue
		}
		for _, rule := range p.Spec.Ingress {
			who := "anybody"
			for _, from := range rule.From {
				if from.PodSelector == nil || from.NamespaceSelector != nil || from.IPBlock != nil {
					t.Errorf("policy %s: from %v", p.Name, from)
					continue
				}
				var names []string
				for _, w := range c.selected(t, from.PodSelector) {
					names = append(names, w.name)
				}
				slices.Sort(names)
				who = strings.Join(names, " ")
				if len(from.PodSelector.MatchLabels)+len(from.PodSelector.MatchExpressions) == 0 {
					who = "namespace"
				}
			}
			for _, w := range ws {
				for _, port := range rule.Ports {
					number := w.port(*port.Port)
					if number == 0 {
						t.Errorf("policy %s: opens port %v, which %s does not have", p.Name, port.Port, w.name)
					}
					allowed[w.name+":"+strconv.Itoa(int(number))] = who
				}
			}
		}
	}
	if !closed {
		t.Error("what no policy names is open")
	}
	want := map[string]string{
		"gateway:8080": "anybody", "gateway:9080": "namespace", "runner:4000": "namespace",
		"tron:3000": "namespace", "rabbitmq:5672": "gateway runner tron",
	}
	if !maps.Equal(allowed, want) {
		t.Errorf("allowed are %v, want %v", allowed, want)
	}
}

// start.sh draws the secrets once, with the keys that the pods ask for, and never
// shows them in its arguments.
func TestKubernetesStart(t *testing.T) {
	dir := t.TempDir()
	env := standIn(t, "kubectl", `
echo "$*" >>"`+dir+`/calls"
case "$*" in
*"get secret"*) [ ! -e "`+dir+`/secret" ] || echo secret/funcatron ;;
"create -f -") cat >"`+dir+`/secret" ;;
esac
`)
	script, err := filepath.Abs("kubernetes/start.sh")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, err := run(t, t.TempDir(), env, script); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	want := `apply -f namespace.yaml
-n funcatron get secret funcatron --ignore-not-found -o name
create -f -
apply -k .
apply -f namespace.yaml
-n funcatron get secret funcatron --ignore-not-found -o name
apply -k .
`
	if string(calls) != want {
		t.Errorf("kubectl was called:\n%swant:\n%s", calls, want)
	}

	text, err := os.ReadFile(filepath.Join(dir, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := yaml.YAMLToJSONStrict(bytes.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	secret, ok := strict(t, document).(*corev1.Secret)
	if !ok || secret.Name != "funcatron" || secret.Namespace != "funcatron" {
		t.Fatalf("created %+v", secret)
	}
	for key, value := range secret.StringData {
		if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(value) {
			t.Errorf("%s is %d characters", key, len(value))
		}
	}
	if secret.StringData["admin-token"] == secret.StringData["rabbit-password"] {
		t.Error("the token is the password")
	}
	used := map[string]bool{}
	for _, w := range render(t).workloads {
		for _, e := range w.pod().Containers[0].Env {
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				if e.ValueFrom.SecretKeyRef.Name != secret.Name {
					t.Errorf("%s: secret %s", w.name, e.ValueFrom.SecretKeyRef.Name)
				}
				used[e.ValueFrom.SecretKeyRef.Key] = true
			}
		}
		for _, v := range w.pod().Volumes {
			if v.Secret == nil {
				continue
			}
			if v.Secret.SecretName != secret.Name {
				t.Errorf("%s: secret %s", w.name, v.Secret.SecretName)
			}
			for _, i := range v.Secret.Items {
				used[i.Key] = true
			}
		}
	}
	drawn := slices.Sorted(maps.Keys(secret.StringData))
	if asked := slices.Sorted(maps.Keys(used)); !slices.Equal(asked, drawn) {
		t.Errorf("pods ask for the keys %q, the secret has %q", asked, drawn)
	}
}
