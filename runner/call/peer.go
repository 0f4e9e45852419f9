package call

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// Only has connections made to processes of one user id alone; before the first of
// them. What a function puts where its socket is to be may lead elsewhere, to where
// we may go and it may not.
func (p *Pool) Only(uid int) { p.check, p.uid = true, uint32(uid) }

// checkPeer says why a connection is not to whom it should be.
func (p *Pool) checkPeer(raw syscall.RawConn) error {
	if !p.check {
		return nil
	}
	var peer *unix.Ucred
	var failed error
	err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err == nil {
		err = failed
	}
	if err == nil && peer.Uid != p.uid {
		err = fmt.Errorf("it is user %d who listens there, not the function's, %d", peer.Uid, p.uid)
	}
	return err
}
