// Package version names the software that is running.
package version

import "runtime/debug"

// Version is set by the linker for releases: -X .../shared/version.Version=1.2.3
var Version = ""

// String is the release, else the git revision that was built, else "devel".
func String() string {
	if Version != "" {
		return Version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				return s.Value[:12]
			}
		}
	}
	return "devel"
}
