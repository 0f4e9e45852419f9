package process

import (
	"os/exec"
	"testing"

	"github.com/funcatron/funcatron/runner/sandbox"
)

// What a start costs, to the end of a program that does nothing, with the sandbox
// and without.
func BenchmarkStart(b *testing.B) {
	b.Run("sandbox", func(b *testing.B) {
		for b.Loop() {
			p, err := Start(Spec{Path: "/bin/true", Args: []string{"true"}, Jail: sandbox.Jail{Files: 100, Memory: 1 << 30}})
			if err != nil {
				b.Fatal(err)
			}
			<-p.Done()
		}
	})
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("/bin/true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
