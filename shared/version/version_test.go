package version_test

import (
	"testing"

	"github.com/funcatron/funcatron/shared/version"
)

func TestString(t *testing.T) {
	defer func(was string) { version.Version = was }(version.Version)
	for _, tc := range []struct{ linked, want string }{
		{"1.2.3", "1.2.3"},
		{"", "devel"}, // go test puts no revision into its binaries
	} {
		version.Version = tc.linked
		if got := version.String(); got != tc.want {
			t.Errorf("with %q linked in, String() = %q, want %q", tc.linked, got, tc.want)
		}
	}
}
