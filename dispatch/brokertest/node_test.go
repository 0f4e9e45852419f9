package brokertest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

func TestNode(t *testing.T) {
	n := StartNode(t)
	declare := func(passive bool) error {
		c, err := amqp.Dial(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ch, err := c.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if passive {
			_, err = ch.QueueDeclarePassive("kept", true, false, false, false, nil)
		} else {
			_, err = ch.QueueDeclare("kept", true, false, false, false, nil)
		}
		return err
	}
	if err := declare(false); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){n.Kill, n.Stop} {
		group := n.node.cmd.Process.Pid
		if len(living(t, group)) == 0 {
			t.Error("nothing lives in the group of a node that runs")
		}
		end()
		if err := answers(n.URL(), time.Second); err == nil {
			t.Error("it answers although it is stopped")
		}
		if left := living(t, group); len(left) > 0 {
			t.Errorf("processes are left of it: %v", left)
		}
		n.Start()
		if err := declare(true); err != nil {
			t.Errorf("it lost its data: %v", err)
		}
	}
	n.Ctl("status")
}

// living lists the processes of a group, but for those that only wait to be reaped
// by whoever inherited them.
func living(t *testing.T, group int) (pids []string) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended since
		}
		// proc(5): pid (comm) state ppid pgrp ...
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if string(f[2]) == strconv.Itoa(group) && string(f[0]) != "Z" {
			pids = append(pids, string(bytes.Fields(stat)[0]))
		}
	}
	return pids
}

func TestProcessGroupEndsWithItsProgramAndWithTheTest(t *testing.T) {
	n := &Node{t: t, dir: t.TempDir(), cmds: make(map[string]string)}
	for name, script := range map[string]string{"ends": "#!/bin/sh\n", "stays": "#!/bin/sh\nsleep 1000 & sleep 1000\n"} {
		n.cmds[name] = filepath.Join(n.dir, name)
		if err := os.WriteFile(n.cmds[name], []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ends, stays := n.start("ends"), n.start("stays")
	t.Cleanup(ends.kill)
	t.Cleanup(stays.kill)
	group := stays.cmd.Process.Pid
	Eventually(t, "all of it runs", func() bool { return len(living(t, group)) >= 4 })
	if err := stays.stdin.Close(); err != nil { // as when the test's process ends
		t.Fatal(err)
	}
	for name, p := range map[string]*process{"ends": ends, "stays": stays} {
		select {
		case <-p.done:
		case <-time.After(patience):
			t.Errorf("%s: the group lives on", name)
		}
	}
	if left := living(t, group); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}
