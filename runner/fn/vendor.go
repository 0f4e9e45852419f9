package fn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Vendor is one service: it vends items to requests and gets each back exactly
// once. Its methods are called by several goroutines at once, but for Close.
type Vendor interface {
	// Vend makes or lends an item for one request, within ctx, the request's.
	Vend(ctx context.Context) (any, error)
	// Release takes item back when the function has returned, whether ctx ended
	// meanwhile or not. success says that it returned no error: keep what it
	// did. An error with success turns the function's answer into a 500.
	Release(item any, success bool) error
	// Close ends the service when all items are back.
	Close() error
}

// NewVendor builds the service called name from its properties, of which "type"
// is one. It is called when the first request asks for the service, and again at
// the next one where it returned an error. Numbers in props are json.Number, and
// log is for what is no request's.
type NewVendor func(name string, props map[string]any, log *slog.Logger) (Vendor, error)

var registry = struct {
	sync.RWMutex
	types map[string]NewVendor // guarded by the mutex
}{types: map[string]NewVendor{"database": newDatabase}}

// RegisterVendor lets properties describe services of type typ. It is for main
// and init functions: it panics where the type is there already, as "database"
// is, or build is nil.
func RegisterVendor(typ string, build NewVendor) {
	registry.Lock()
	defer registry.Unlock()
	if build == nil {
		panic("BUG: fn.RegisterVendor with nothing to build type " + typ)
	}
	if _, ok := registry.types[typ]; ok {
		panic("BUG: fn.RegisterVendor twice for type " + typ)
	}
	registry.types[typ] = build
}

func vendorOf(typ string) (NewVendor, bool) {
	registry.RLock()
	defer registry.RUnlock()
	build, ok := registry.types[typ]
	return build, ok
}

func vendorTypes() []string {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Sorted(maps.Keys(registry.types))
}

// ErrNoService means that the properties describe no service of that name.
var ErrNoService = errors.New("no such service")

// services are what the properties describe. The map never changes.
type services struct {
	byName map[string]*service

	mu    sync.Mutex
	built []*service // guarded by mu: in the order of their making, to be closed in reverse
}

type service struct {
	name, typ string
	props     map[string]any
	log       *slog.Logger

	mu     sync.Mutex // guards vendor, and is held while it is built
	vendor Vendor
}

func newServices(props map[string]any, log *slog.Logger) *services {
	s := &services{byName: map[string]*service{}}
	for name, v := range props {
		description, _ := v.(map[string]any)
		if typ, ok := description["type"].(string); ok {
			s.byName[name] = &service{name: name, typ: typ, props: description, log: log.With("service", name)}
		}
	}
	return s
}

func (s *services) names() []string {
	var names []string
	for name, svc := range s.byName {
		if _, ok := vendorOf(svc.typ); ok { // any object may have a "type"
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// vendor gives the service of that name, built if this is the first time.
func (s *services) vendor(name string) (Vendor, error) {
	svc, ok := s.byName[name]
	if !ok {
		return nil, &Error{
			Status:  http.StatusServiceUnavailable,
			Message: fmt.Sprintf(`service %q is not configured: enable the bundle with props {%q: {"type": ..., ...}}`, name, name),
			Err:     ErrNoService,
		}
	}
	svc.mu.Lock()
	defer svc.mu.Unlock()
	if svc.vendor != nil {
		return svc.vendor, nil
	}
	build, ok := vendorOf(svc.typ)
	if !ok {
		return nil, unavailable(name, fmt.Errorf("its type %q is none of %q: add it with fn.RegisterVendor", svc.typ, vendorTypes()))
	}
	v, err := build(name, svc.props, svc.log)
	if err != nil {
		return nil, unavailable(name, err)
	}
	svc.vendor = v
	s.mu.Lock()
	s.built = append(s.built, svc)
	s.mu.Unlock()
	return v, nil
}

// unavailable says to the client which service failed, and to the log why.
func unavailable(name string, cause error) error {
	return &Error{Status: http.StatusServiceUnavailable, Message: fmt.Sprintf("service %q is not available", name), Err: cause}
}

func (s *services) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, svc := range slices.Backward(s.built) {
		if err := guard(svc.vendor.Close); err != nil {
			errs = append(errs, fmt.Errorf("close service %s: %w", svc.name, err))
		}
	}
	s.built = nil
	return errors.Join(errs...)
}

// session is what one request has vended.
type session struct {
	mu    sync.Mutex
	items []vended // guarded by mu, in the order of vending
	over  bool     // guarded by mu: nothing is vended any more
}

type vended struct {
	name   string
	vendor Vendor
	item   any
}

// Vend gives an item of the service of that name: of a database, its
// transaction. Asked again during the same request it gives the same item. The
// item is the request's: it is given back before the answer leaves, committed
// where the function returned no error in time, undone otherwise.
//
// Where the properties describe no such service the error wraps ErrNoService.
// That error, and one of a service that could not vend, are Errors of status 503.
func Vend[T any](ctx *Context, name string) (T, error) {
	var none T
	item, err := ctx.vend(name)
	if err != nil {
		return none, err
	}
	t, ok := item.(T)
	if !ok {
		return none, fmt.Errorf("vend from service %s: it gives a %T, not the %T that is asked for", name, item, none)
	}
	return t, nil
}

// vend holds the session's lock throughout: two goroutines of one request get
// one item, and none is vended behind end's back.
func (c *Context) vend(name string) (any, error) {
	s := &c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, fmt.Errorf("vend from service %s: the request is over", name)
	}
	for _, v := range s.items {
		if v.name == name {
			return v.item, nil
		}
	}
	vendor, err := c.handler.services.vendor(name)
	if err != nil {
		return nil, err
	}
	item, err := vendor.Vend(c)
	if err != nil && c.Err() != nil {
		return nil, fmt.Errorf("vend from service %s: %w", name, c.Err()) // it is the request that is over: drivers say that in words of their own
	}
	if err != nil {
		return nil, unavailable(name, err)
	}
	s.items = append(s.items, vended{name, vendor, item})
	return item, nil
}

// used reports whether anything is out.
func (s *session) used() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.items) > 0
}

// end gives everything back, last first, and reports what went wrong. Once one
// item cannot be kept, those after it are undone. Calling it again is harmless.
func (s *session) end(success bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	items := s.items
	s.items = nil
	var errs []error
	for _, v := range slices.Backward(items) {
		err := guard(func() error { return v.vendor.Release(v.item, success && len(errs) == 0) })
		if err != nil {
			errs = append(errs, fmt.Errorf("give back service %s: %w", v.name, err))
		}
	}
	return errors.Join(errs...)
}
