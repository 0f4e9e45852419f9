package bench

import (
	"strings"
	"syscall"
	"testing"
)

func TestProcess(t *testing.T) {
	t.Setenv("FUNCATRON_RABBIT_URL", "amqp://elsewhere/")
	b := &Bench{dir: t.TempDir()}
	p, err := b.start("talker", "/bin/sh", "sh", "-c", `echo "env=$FUNCATRON_RABBIT_URL."; echo ready at 7; exec sleep 100`)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if m, err := p.says(t.Context(), `ready at (\d)`); err != nil || m[1] != "7" {
		t.Errorf("%v, %v", m, err)
	}
	if m, err := p.says(t.Context(), `env=(.*)\.`); err != nil || m[1] != "" {
		t.Errorf("a flag's variable came through: %v, %v", m, err)
	}
	p.stop()
	p.stop() // harmless
	if err := syscall.Kill(p.pid, 0); err == nil {
		t.Error("it still runs")
	}

	p, err = b.start("mute", "/bin/sh", "sh", "-c", "echo no such luck; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := p.says(t.Context(), "ready"); err == nil || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("error %v", err)
	}
	if _, err := b.start("nobody", "/does/not/exist", "x"); err == nil {
		t.Error("what does not exist was started")
	}
}
