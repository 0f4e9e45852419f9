package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/funcatron/funcatron/dispatch"
	"github.com/funcatron/funcatron/runner/call"
	"github.com/funcatron/funcatron/shared/envelope"
)

// unsentTries is how many processes a request is offered to that could not be sent
// to the first: it died in that moment.
const unsentTries = 3

// service is a deployment that is live: it hands its requests to its processes.
type service struct {
	run      *run
	team     *team
	meter    *meter
	maxReply int
	failed   func(c *dispatch.Call, req []byte, err error) // logs
}

// consume takes requests off the deployment's queue until ctx ends, but only while
// there is a process to give them to. Then it waits for those that run.
func (s *service) consume(ctx context.Context, r *dispatch.Responder, q dispatch.Queue) error {
	for {
		up, down := s.team.places.signals()
		select {
		case <-ctx.Done():
			return nil
		case <-up:
		}
		taking, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			select {
			case <-down:
				stop()
			case <-taking.Done():
			}
		})
		err := r.Serve(taking, q, slots(s.run.bundle.Document.Runtime), s.handle)
		stop()
		wg.Wait()
		if err != nil {
			return err
		}
	}
}

// handle answers one request.
func (s *service) handle(c *dispatch.Call) {
	id, req := read(c.Header)
	op := s.meter.of(id)
	s.meter.running.Add(1)
	a := call.NewAnswer()
	err := s.call(c, a)
	resp := envelope.Response{Status: a.Status, Header: a.Header, Body: a.Body, Ran: a.Ran}
	if err == nil {
		op.answered(a.Status, a.Ran)
	} else {
		resp = s.fault(c, err)
		op.failed(resp.Fault)
		s.failed(c, req, err)
	}
	s.meter.running.Add(-1)
	s.meter.served.Add(1)
	s.meter.held.UpdateDuration(c.Received)
	c.Reply(&resp)
	a.Release()
}

// call hands c to the process that has the fewest calls.
func (s *service) call(c *dispatch.Call, a *call.Answer) error {
	r := call.Request{
		Method: c.Method, URI: c.URI, Header: c.Header, Body: c.Body,
		Deadline: c.Deadline, Repeatable: c.Retry || dispatch.Idempotent(c.Method), MaxReply: s.maxReply,
	}
	for try := 1; ; try++ {
		i, err := s.team.places.take(c.Deadline)
		if err != nil {
			return err
		}
		err = i.pool.Do(&r, a)
		if err != nil {
			s.team.suspect(i, err)
		}
		s.team.places.give(i)
		if !errors.Is(err, call.ErrUnsent) || try == unsentTries || !time.Now().Before(c.Deadline) {
			return err
		}
	}
}

// fault says in the function's place what became of c. It shows nothing of this
// machine.
func (s *service) fault(c *dispatch.Call, err error) envelope.Response {
	var broke call.ProtocolError
	f, status, detail := envelope.Died, 502, "the function died, or closed the connection, before it had answered"
	switch {
	case errors.Is(err, call.ErrTooLarge):
		f, detail = envelope.TooLarge, fmt.Sprintf("the function's answer is larger than it may be: %d bytes of body", s.maxReply)
	case errors.As(err, &broke):
		detail = "the function's answer is not HTTP/1.1: " + string(broke)
	case errors.Is(err, errNoProcess):
		f, status, detail = envelope.NotRun, 503, "no process of the function is running"
	case !time.Now().Before(c.Deadline):
		f, status, detail = envelope.Expired, 504, "the function did not answer in time"
	}
	return envelope.Response{Status: status, Fault: f, Body: []byte(detail)}
}

// read finds the operation and the REQ id among a request's header lines.
func read(header []byte) (operation, req []byte) {
	for name, value := range envelope.Lines(header) {
		switch {
		case bytes.EqualFold(name, operationHeader):
			operation = value
		case bytes.EqualFold(name, reqHeader):
			req = value
		}
	}
	return operation, req
}

var (
	operationHeader = []byte("X-Funcatron-Operation")
	reqHeader       = []byte("X-Request-Id")
)
