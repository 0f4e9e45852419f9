package fn_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/funcatron/funcatron/runner/fn"
)

// fakeDB is a driver whose connections note what is done with them.
type fakeDB struct {
	mu    sync.Mutex
	notes []string // guarded by mu
	fail  string   // guarded by mu: "open", "begin" or "commit" fails
}

var fake = &fakeDB{}

func init() { sql.Register("fake", fake) }

func (f *fakeDB) note(n string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, n)
	if f.fail != "" && strings.HasPrefix(n, f.fail) {
		return errors.New("hunter2: " + f.fail + " fails")
	}
	return nil
}

// reset forgets the notes and makes what fail names fail.
func (f *fakeDB) reset(fail string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes, f.fail = nil, fail
}

func (f *fakeDB) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.notes, ", ")
}

func (f *fakeDB) Open(name string) (driver.Conn, error) { return f, f.note("open " + name) }
func (f *fakeDB) Close() error                          { return f.note("close") }
func (f *fakeDB) Commit() error                         { return f.note("commit") }
func (f *fakeDB) Rollback() error                       { return f.note("rollback") }
func (f *fakeDB) Begin() (driver.Tx, error)             { return f, f.note("begin") }
func (f *fakeDB) Prepare(string) (driver.Stmt, error)   { return nil, io.ErrUnexpectedEOF }
func (f *fakeDB) BeginTx(_ context.Context, o driver.TxOptions) (driver.Tx, error) {
	n := "begin"
	if o.Isolation != 0 {
		n += " " + sql.IsolationLevel(o.Isolation).String()
	}
	if o.ReadOnly {
		n += " read-only"
	}
	return f, f.note(n)
}

func (f *fakeDB) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.RowsAffected(1), f.note(query)
}

func withTx(after func(*fn.Context, *sql.Tx) error) fn.Func {
	return fn.Typed(func(ctx *fn.Context, _ fn.None) (string, error) {
		tx, err := fn.Vend[*sql.Tx](ctx, "db")
		if err != nil {
			return "", err
		}
		if _, err := tx.ExecContext(ctx, "write"); err != nil {
			return "", err
		}
		return "done", after(ctx, tx)
	})
}

func TestDatabase(t *testing.T) {
	ok := func(*fn.Context, *sql.Tx) error { return nil }
	const props = `{"db":{"type":"database","driver":"fake","url":"x"}}`
	for name, tc := range map[string]struct {
		props  string
		after  func(*fn.Context, *sql.Tx) error
		fail   string
		status int
		notes  string
		logged string
	}{
		"committed": {props, ok, "", 200, "open x, begin, write, commit, close", ""},
		"the only driver": {`{"db":{"type":"database","url":"x"}}`, ok, "",
			200, "open x, begin, write, commit, close", ""},
		"error":   {props, func(*fn.Context, *sql.Tx) error { return fn.Errorf(422, "no") }, "", 422, "open x, begin, write, rollback, close", ""},
		"panic":   {props, func(*fn.Context, *sql.Tx) error { panic("no") }, "", 500, "open x, begin, write, rollback, close", "panic: no"},
		"no open": {props, ok, "open", 503, "open x", "open fails"},
		"no begin": {props, ok, "begin", 503, "open x, begin, close",
			"begin a transaction"},
		"commit fails": {props, ok, "commit", 500, "open x, begin, write, commit, close", "give back service db: commit: hunter2"},
		"the function rolled back": {props, func(_ *fn.Context, tx *sql.Tx) error { return tx.Rollback() }, "",
			500, "open x, begin, write, rollback, close", "that is left to fn"},
		"rolled back, then error": {props, func(_ *fn.Context, tx *sql.Tx) error { return errors.Join(fn.Errorf(404, "no"), tx.Rollback()) }, "",
			404, "open x, begin, write, rollback, close", ""},
		"login": {`{"db":{"type":"database","driver":"fake","url":"pg://h/d?s=1","username":"u","password":"p/w"}}`, ok, "",
			200, "open pg://u:p%2Fw@h/d?s=1, begin, write, commit, close", ""},
		"user only": {`{"db":{"type":"database","driver":"fake","url":"pg://old:secret@h/d","username":"u"}}`, ok, "",
			200, "open pg://u:secret@h/d, begin, write, commit, close", ""},
		"password only": {`{"db":{"type":"database","driver":"fake","url":"pg://old@h/d","password":"p"}}`, ok, "",
			200, "open pg://old:p@h/d, begin, write, commit, close", ""},
		"options": {`{"db":{"type":"database","driver":"fake","url":"x","isolation":"READ_COMMITTED","readOnly":true,
			"maxOpenConns":2,"maxIdleConns":0,"connMaxLifetime":"1m","connMaxIdleTime":"10s"}}`, ok, "",
			200, "open x, begin Read Committed read-only, write, commit, close", ""},
		"no url":         {`{"db":{"type":"database","driver":"fake"}}`, ok, "", 503, "", `no \"url\"`},
		"unknown driver": {`{"db":{"type":"database","driver":"pgx","url":"x"}}`, ok, "", 503, "", `it has fake): import _ \"github.com/jackc/pgx/v5/stdlib\"`},
		"odd driver":     {`{"db":{"type":"database","driver":"odd","url":"x"}}`, ok, "", 503, "", "import its package"},
		"login for a DSN": {`{"db":{"type":"database","driver":"fake","url":"x","username":"u"}}`, ok, "",
			503, "", "have to be part of it"},
		"broken url": {`{"db":{"type":"database","driver":"fake","url":"pg://u:hunter3@h:port","username":"u"}}`, ok, "", 503, "", "read its url"},
		"isolation":  {`{"db":{"type":"database","driver":"fake","url":"x","isolation":"splendid"}}`, ok, "", 503, "", "serializable"},
		"duration":   {`{"db":{"type":"database","driver":"fake","url":"x","connMaxLifetime":"5"}}`, ok, "", 503, "", "read its properties"},
	} {
		t.Run(name, func(t *testing.T) {
			fake.reset(tc.fail)
			out := &output{}
			h, err := fn.NewHandler(fn.Operations{"op": withTx(tc.after)}, fn.Options{Props: []byte(tc.props), Output: out})
			if err != nil {
				t.Fatal(err)
			}
			rec := serveDirectly(t, h)
			if err := h.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if rec.Code != tc.status || strings.Contains(rec.Body.String(), "hunter") {
				t.Errorf("got %d %s", rec.Code, rec.Body)
			}
			if got := fake.String(); got != tc.notes {
				t.Errorf("it went %s, want %s", got, tc.notes)
			}
			if log := out.String(); !strings.Contains(log, tc.logged) || strings.Contains(log, "hunter3") {
				t.Errorf("logged %s, want %s", log, tc.logged)
			}
		})
	}
}

// A request that ran out of time is not committed, though its function says so.
func TestDatabaseAfterTheDeadline(t *testing.T) {
	fake.reset("")
	srv, out := serveOne(t, withTx(func(ctx *fn.Context, _ *sql.Tx) error {
		<-ctx.Done()
		return nil
	}), fn.Options{Props: []byte(`{"db":{"type":"database","driver":"fake","url":"x"}}`)})
	if got := call(t, srv, "GET", "/", "", "X-Funcatron-Timeout-Ms: 30"); got.status != 504 {
		t.Errorf("got %d %s", got.status, out)
	}
	if notes := fake.String(); strings.Contains(notes, "commit") {
		t.Errorf("it went %s", notes)
	}
}
