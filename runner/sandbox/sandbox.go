// Package sandbox keeps a process from what is not its business.
//
// Some of that can only be said by the process itself, before it becomes the
// program it is to be: limits, no_new_privs, and whose it is. So the program that
// holds this package is started a second time, by the name in its argv[0], and
// this package's init makes it the other one: nothing of that program, not even
// another package's init, runs then. What it becomes
//
//   - gains no privileges by executing anything (no_new_privs) and has no ambient
//     capabilities,
//   - inherits no file but its standard input and outputs,
//   - leaves no core dump, and makes files that nobody else may read (umask 077),
//   - is a Jail.User's, alone in its groups, where one is given,
//   - and has a Jail's limits.
//
// Where any of it cannot be had, the program is not executed.
package sandbox

import "strconv"

// Jail is what a process is kept from. The zero value sets no user and no limit.
type Jail struct {
	User int // and group; 0 is ours

	Memory    int64 // bytes of data of one process (RLIMIT_DATA); 0 sets none
	Files     int   // open at once (RLIMIT_NOFILE); 0 sets none
	Processes int   // and threads, of all that User has (RLIMIT_NPROC); 0 sets none

	// Pids is written to PidsFile last: a group's limit on processes, which would
	// be too low for what becomes the program.
	PidsFile string
	Pids     int
}

// Self is the program that becomes others.
const Self = "/proc/self/exe"

// name is argv[0] of what is started to become another program.
const name = "funcatron-sandbox"

// What it is to do.
const (
	doExec = "exec" // become the program
	doTry  = "try"  // all of that, and end
	doKill = "kill" // kill every process of a user
)

// reportFD is where it says why it did not become the program. It is closed when
// it did.
const reportFD = 3

// Args is the argv with which Self becomes the program path in jail j. What has
// file descriptor 3 at its other end reads what went wrong, and nothing when all
// went well. parent is the process that starts it, with which it dies.
func (j Jail) Args(parent int, path string, argv []string) []string {
	return append(j.args(doExec, parent, path), argv...)
}

// TryArgs is the argv with which Self goes to jail as Args says, and ends.
func (j Jail) TryArgs(parent int) []string { return j.args(doTry, parent, "") }

func (j Jail) args(do string, parent int, path string) []string {
	return []string{
		name, do, strconv.Itoa(parent), strconv.Itoa(j.User), strconv.FormatInt(j.Memory, 10), strconv.Itoa(j.Files),
		strconv.Itoa(j.Processes), j.PidsFile, strconv.Itoa(j.Pids), path,
	}
}

// fixedArgs is how many of Args are not the program's.
const fixedArgs = 10
