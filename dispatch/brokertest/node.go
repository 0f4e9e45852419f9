package brokertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/funcatron/funcatron/shared/certs"
)

// Node is a RabbitMQ of a test's own, to be killed and started again. It keeps its
// data from one start to the next. It listens on 127.0.0.1 only, and has its own
// epmd, so that it meets no other node of the machine.
type Node struct {
	t    testing.TB
	dir  string
	port int
	tls  int // port, of a node that has one
	env  []string
	cmds map[string]string // programs, by name

	node *process // nil while it is stopped
}

// startTime is how long a node may take to start, on a busy machine.
const startTime = 120 * time.Second

// StartNode starts a node, which is killed at the end of the test. Where
// rabbitmq-server is not installed the test is skipped, but with CI=true it fails.
func StartNode(t testing.TB) *Node {
	t.Helper()
	return startNode(t, certs.Files{})
}

// StartTLSNode starts a node that takes connections over TLS, too: it shows the
// certificate of files, and asks clients for one that their CA has signed.
func StartTLSNode(t testing.TB, files certs.Files) *Node {
	t.Helper()
	return startNode(t, files)
}

func startNode(t testing.TB, files certs.Files) *Node {
	t.Helper()
	n := &Node{t: t, dir: t.TempDir(), cmds: make(map[string]string)}
	for _, name := range []string{"rabbitmq-server", "rabbitmqctl", "epmd"} {
		path, err := program(name)
		if err != nil {
			missing(t, "no private RabbitMQ node can be started: %v; install rabbitmq-server", err)
		}
		n.cmds[name] = path
	}
	ports := freePorts(t, 4)
	n.port = ports[0]
	conf := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\n", n.port)
	if files.Cert != "" {
		n.tls = ports[3]
		conf += fmt.Sprintf("listeners.ssl.1 = 127.0.0.1:%d\nssl_options.certfile = %s\nssl_options.keyfile = %s\n", n.tls, files.Cert, files.Key) +
			"ssl_options.cacertfile = " + files.CA + "\nssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
	}
	path := func(name string) string { return filepath.Join(n.dir, name) }
	for _, dir := range []string{"home", "data", "log"} {
		if err := os.Mkdir(path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"plugins":       "[].\n",
		"rabbitmq.conf": conf,
	} {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + path("home"), // of the Erlang cookie
		"LANG=C.UTF-8",
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_EPMD_PORT=" + strconv.Itoa(ports[2]),
		"RABBITMQ_NODENAME=" + Name() + "@localhost",
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(n.port),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[1]),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE=" + path("data"),
		"RABBITMQ_LOG_BASE=" + path("log"),
		"RABBITMQ_PID_FILE=" + path("pid"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + path("plugins"),
		"RABBITMQ_CONFIG_FILE=" + path("rabbitmq.conf"),
		"RABBITMQ_CONF_ENV_FILE=" + path("none"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + path("none.config"),
	}
	t.Cleanup(n.start("epmd").kill)
	t.Cleanup(n.Kill)
	n.Start()
	return n
}

// URL is where the node takes AMQP connections, whether it runs or not.
func (n *Node) URL() string { return fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", n.port) }

// TLSURL is where a node of StartTLSNode takes AMQP connections over TLS.
func (n *Node) TLSURL() string { return fmt.Sprintf("amqps://guest:guest@127.0.0.1:%d/", n.tls) }

// Start starts the node, and waits until it answers.
func (n *Node) Start() {
	n.t.Helper()
	if n.node != nil {
		return
	}
	n.node = n.start("rabbitmq-server")
	var err error
	for end := time.Now().Add(startTime); time.Now().Before(end); {
		if err = answers(n.URL(), 2*time.Second); err == nil {
			return
		}
		select {
		case <-n.node.done:
			n.t.Fatalf("RabbitMQ ended at its start:\n%s", n.node.output.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	n.t.Fatalf("RabbitMQ does not answer after %v: %v\n%s", startTime, err, n.node.output.String())
}

// Kill ends the node at once, as a power failure would.
func (n *Node) Kill() {
	if n.node != nil {
		n.node.kill()
		n.node = nil
	}
}

// Wipe throws away the data of a node that does not run, as a lost disk would: the
// next start is of an empty RabbitMQ.
func (n *Node) Wipe() {
	n.t.Helper()
	if n.node != nil {
		n.t.Fatal("BUG: Wipe of a node that runs")
	}
	data := filepath.Join(n.dir, "data")
	if err := os.RemoveAll(data); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		n.t.Fatal(err)
	}
}

// Stop ends the node in good order: it closes its connections, and says why.
func (n *Node) Stop() {
	n.t.Helper()
	if n.node == nil {
		return
	}
	text, err := os.ReadFile(filepath.Join(n.dir, "pid"))
	if err != nil {
		n.t.Fatalf("read RabbitMQ's pid: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		n.t.Fatalf("read RabbitMQ's pid: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		n.t.Fatalf("stop RabbitMQ: %v", err)
	}
	select {
	case <-n.node.done: // the leader kills the rest of the group
		n.node = nil
	case <-time.After(startTime):
		n.t.Fatalf("RabbitMQ does not stop:\n%s", n.node.output.String())
	}
}

// Ctl runs rabbitmqctl on the node and returns what it prints.
func (n *Node) Ctl(args ...string) string {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.cmds["rabbitmqctl"], args...)
	cmd.Env = n.env
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// process is a program in a process group of its own, which a shell leads: when
// the test's process ends, however it ends, the shell's standard input does, and it
// kills the group.
type process struct {
	cmd    *exec.Cmd
	stdin  io.Closer // the leader's; only the end of this process closes it
	output buffer
	done   chan struct{} // closed when it has been waited for
}

const leader = `("$0" </dev/null; kill -KILL 0) & read -r _; kill -KILL 0`

func (n *Node) start(name string) *process {
	n.t.Helper()
	p := &process{cmd: exec.Command("/bin/sh", "-c", leader, n.cmds[name]), done: make(chan struct{})}
	p.cmd.Env = n.env
	p.cmd.Dir = n.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		n.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		n.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // it ends by a signal, always; and last when all that could write the output have
		close(p.done)
	}()
	return p
}

// kill ends the whole group.
func (p *process) kill() {
	select {
	case <-p.done: // by now the number may be a stranger's
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// freePorts finds ports that nobody listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports[i] = ln.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// program finds a program of RabbitMQ or Erlang. Debian's in PATH change the user
// and leave the process group; the ones behind them do not.
func program(name string) (string, error) {
	if path := filepath.Join("/usr/lib/rabbitmq/bin", name); executable(path) {
		return path, nil
	}
	return exec.LookPath(name)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// buffer keeps the last of what a process prints.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.b.Len() > 64<<10 {
		b.b.Reset()
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
