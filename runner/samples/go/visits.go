package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"github.com/funcatron/funcatron/runner/fn"
)

// The guest book is in the database that the property "db" describes:
//
//	{"db": {"type": "database", "driver": "sqlite", "url": "file:/var/lib/visits.db?_pragma=busy_timeout(5000)&_txlock=immediate"}}
//
// (SQLite lets one write at a time: the others wait, up to busy_timeout, from
// their begin on.) A Runner hands each request a transaction, which is committed
// when the function returns no error and rolled back when it returns one.
const service = "db"

const createVisits = `CREATE TABLE IF NOT EXISTS visits (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL,
	time TEXT NOT NULL
)`

// Visitor is what AddVisit takes.
type Visitor struct {
	Name string `json:"name"`
}

// Visit is one row of the guest book.
type Visit struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Time string `json:"time"` // RFC 3339, UTC
}

// settings are the properties that are no service.
type settings struct {
	MaxVisits int `json:"maxVisits"`
}

// addVisit writes first and counts then: a visit too many is taken back by the
// rollback that its error brings.
func addVisit(ctx *fn.Context, visitor Visitor) (*fn.Response, error) {
	limits := settings{MaxVisits: 1000}
	if err := ctx.DecodeProps(&limits); err != nil {
		return nil, err
	}
	tx, err := visits(ctx)
	if err != nil {
		return nil, err
	}
	v := Visit{Name: visitor.Name, Time: time.Now().UTC().Format(time.RFC3339)}
	err = tx.QueryRowContext(ctx, `INSERT INTO visits (name, time) VALUES (?, ?) RETURNING id`, v.Name, v.Time).Scan(&v.ID)
	if err != nil {
		return nil, fmt.Errorf("write a visit: %w", err)
	}
	var count int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM visits WHERE name = ?`, v.Name).Scan(&count); err != nil {
		return nil, fmt.Errorf("count the visits of %q: %w", v.Name, err)
	}
	if count > limits.MaxVisits {
		return nil, fn.Errorf(http.StatusConflict, "%s has visited %d times already", v.Name, limits.MaxVisits)
	}
	stay, err := fn.ParamOr(ctx, "sleep", 0)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, stay); err != nil {
		return nil, err // too late: 504, and what was written is taken back
	}
	ctx.Logger().Info("visited", "name", v.Name, "count", count)
	return fn.JSON(http.StatusCreated, v)
}

func listVisits(ctx *fn.Context, _ fn.None) ([]Visit, error) {
	limit, err := fn.Param[int](ctx, "limit") // the document gives its default
	if err != nil {
		return nil, err
	}
	name, err := fn.ParamOr[*string](ctx, "name", nil) // nil, and so NULL, is everybody
	if err != nil {
		return nil, err
	}
	tx, err := visits(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, name, time FROM visits WHERE name = ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT ?2`, name, limit)
	if err != nil {
		return nil, fmt.Errorf("list the visits: %w", err)
	}
	defer func() { _ = rows.Close() }()
	all := []Visit{}
	for rows.Next() {
		var v Visit
		if err := rows.Scan(&v.ID, &v.Name, &v.Time); err != nil {
			return nil, fmt.Errorf("read a visit: %w", err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the visits: %w", err)
	}
	return all, nil
}

// visits gives the request's transaction, in which the table is there.
func visits(ctx *fn.Context) (*sql.Tx, error) {
	tx, err := fn.Vend[*sql.Tx](ctx, service)
	if err != nil {
		return nil, err // 503, and says that the property is missing or why the database cannot be had
	}
	if _, err := tx.ExecContext(ctx, createVisits); err != nil {
		return nil, fmt.Errorf("make the table of visits: %w", err)
	}
	return tx, nil
}
