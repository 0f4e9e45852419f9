package fn

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// database vends transactions (*sql.Tx) of one pool. Its properties:
//
//	url              what the driver opens; required
//	driver           as database/sql knows it; needed where the program has several
//	username         put into url, where that is one (scheme://...)
//	password         likewise
//	maxOpenConns     most connections; 0, the default, is no limit
//	maxIdleConns     most of them kept; the default is 2
//	connMaxLifetime  how long one is used, "30m"; the default is for ever
//	connMaxIdleTime  how long one is kept, "5m"; the default is for ever
//	isolation        "read committed", "serializable", ...; the default is the driver's
//	readOnly         true makes the transactions read-only
type database struct {
	db *sql.DB
	tx sql.TxOptions
}

type databaseProps struct {
	URL             string       `json:"url"`
	Driver          string       `json:"driver"`
	Username        string       `json:"username"`
	Password        string       `json:"password"`
	MaxOpenConns    int          `json:"maxOpenConns"`
	MaxIdleConns    *int         `json:"maxIdleConns"`
	ConnMaxLifetime jsonDuration `json:"connMaxLifetime"`
	ConnMaxIdleTime jsonDuration `json:"connMaxIdleTime"`
	Isolation       string       `json:"isolation"`
	ReadOnly        bool         `json:"readOnly"`
}

// jsonDuration is a time.Duration written "1m30s", as in the document's
// x-funcatron.
type jsonDuration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *jsonDuration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = jsonDuration(v)
	return err
}

func newDatabase(_ string, props map[string]any, _ *slog.Logger) (Vendor, error) {
	var p databaseProps
	data, err := json.Marshal(props)
	if err == nil {
		err = decodeJSON(data, &p)
	}
	if err != nil {
		return nil, fmt.Errorf("read its properties: %w", err)
	}
	if p.URL == "" {
		return nil, errors.New(`its properties have no "url"`)
	}
	driver, err := driverOf(p.Driver, sql.Drivers())
	if err != nil {
		return nil, err
	}
	source, err := withLogin(p.URL, p.Username, p.Password)
	if err != nil {
		return nil, err
	}
	isolation, err := isolationOf(p.Isolation)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("open with driver %s: %w", driver, err)
	}
	db.SetMaxOpenConns(p.MaxOpenConns)
	if p.MaxIdleConns != nil {
		db.SetMaxIdleConns(*p.MaxIdleConns)
	}
	db.SetConnMaxLifetime(time.Duration(p.ConnMaxLifetime))
	db.SetConnMaxIdleTime(time.Duration(p.ConnMaxIdleTime))
	return &database{db: db, tx: sql.TxOptions{Isolation: isolation, ReadOnly: p.ReadOnly}}, nil
}

// imports are the packages of well-known drivers.
var imports = map[string]string{
	"mysql":     "github.com/go-sql-driver/mysql",
	"pgx":       "github.com/jackc/pgx/v5/stdlib",
	"postgres":  "github.com/lib/pq",
	"sqlite":    "modernc.org/sqlite",
	"sqlite3":   "github.com/mattn/go-sqlite3",
	"sqlserver": "github.com/microsoft/go-mssqldb",
}

// driverOf is the driver to use of those that the program has.
func driverOf(name string, have []string) (string, error) {
	list := "it has none"
	if len(have) > 0 {
		list = "it has " + strings.Join(have, ", ")
	}
	switch {
	case slices.Contains(have, name):
		return name, nil
	case name == "" && len(have) == 1:
		return have[0], nil
	case name == "":
		return "", fmt.Errorf(`its properties have no "driver", and this program does not have exactly one: %s`, list)
	}
	cure := "import its package"
	if path := imports[name]; path != "" {
		cure = fmt.Sprintf("import _ %q", path)
	}
	return "", fmt.Errorf("driver %q is not compiled into this program (%s): %s in package main", name, list, cure)
}

// withLogin puts a user and password that are given apart into the URL.
func withLogin(source, user, password string) (string, error) {
	if user == "" && password == "" {
		return source, nil
	}
	if !strings.Contains(source, "://") {
		return "", errors.New("its url is not of the form scheme://..., so username and password have to be part of it")
	}
	u, err := url.Parse(source)
	if err != nil {
		return "", fmt.Errorf("read its url: %w", errors.Unwrap(err)) // the error itself quotes the URL, and with it a password
	}
	if user == "" && u.User != nil {
		user = u.User.Username()
	}
	if password == "" && u.User != nil {
		password, _ = u.User.Password()
	}
	u.User = url.User(user)
	if password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String(), nil
}

// isolationOf finds the level that database/sql calls by that name.
func isolationOf(name string) (sql.IsolationLevel, error) {
	var names []string
	for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
		if name == "" || strings.EqualFold(strings.NewReplacer("_", " ", "-", " ").Replace(name), level.String()) {
			return level, nil
		}
		names = append(names, strings.ToLower(level.String()))
	}
	return 0, fmt.Errorf("its isolation %q is none of %s", name, strings.Join(names, ", "))
}

// Vend begins a transaction. It waits within ctx for a free connection; when ctx
// ends the transaction is rolled back.
func (d *database) Vend(ctx context.Context) (any, error) {
	tx, err := d.db.BeginTx(ctx, &d.tx)
	if err != nil {
		return nil, fmt.Errorf("begin a transaction: %w", err)
	}
	return tx, nil
}

// Release commits or rolls back. A transaction that the function itself has
// ended is refused with success: nobody could say whether what came after was
// kept.
func (d *database) Release(item any, success bool) error {
	tx := item.(*sql.Tx)
	if success {
		err := tx.Commit()
		if errors.Is(err, sql.ErrTxDone) {
			return fmt.Errorf("commit: %w (it ended with the request's time, or the function ended it: that is left to fn)", err)
		}
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// Close ends the pool.
func (d *database) Close() error { return d.db.Close() }
