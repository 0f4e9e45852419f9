package store

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/funcatron/funcatron/shared/wire"
)

// Deployment is a deployment that was once current.
type Deployment struct {
	wire.Deployment
	Enabled time.Time `json:"enabled"`
	// Security is how gateways check credentials for it; none of them is in it.
	Security map[string]wire.Verifier `json:"security,omitempty"`
	// Draining means that no route leads to it any more; it is kept until the
	// last runner has let go of it.
	Draining bool `json:"draining,omitempty"`
}

// Deployments are all deployments, and the version of the route table that those
// that are not draining make.
func (s *Store) Deployments() (all []Deployment, version int64, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		version = int64(number(tx.Bucket(metaBucket).Get(versionKey)))
		return eachDeployment(tx, func(d Deployment) error {
			all = append(all, d)
			return nil
		})
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read deployments: %w", err)
	}
	return all, version, nil
}

// SetCurrent makes next the current deployment of place, or nothing where next is
// nil. What was current there is draining from now on. It returns the new version
// of the route table.
func (s *Store) SetCurrent(place Place, next *Deployment) (version int64, err error) {
	err = s.update(func(tx *bolt.Tx) error {
		var replaced []Deployment
		err := eachDeployment(tx, func(d Deployment) error {
			if !d.Draining && PlaceOf(&d.Deployment) == place {
				replaced = append(replaced, d) // a bucket must not change while it is walked
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, d := range replaced {
			d.Draining = true
			if err := putDeployment(tx, d); err != nil {
				return err
			}
		}
		if next != nil {
			if err := putDeployment(tx, *next); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		n := number(meta.Get(versionKey)) + 1
		version = int64(n)
		return putNumber(meta, versionKey, n)
	})
	if err != nil {
		return 0, fmt.Errorf("store deployment of %s: %w", place, err)
	}
	return version, nil
}

// Forget removes a deployment. One that is not there is no error.
func (s *Store) Forget(id string) error {
	err := s.update(func(tx *bolt.Tx) error { return tx.Bucket(deploymentBucket).Delete([]byte(id)) })
	if err != nil {
		return fmt.Errorf("forget deployment %s: %w", id, err)
	}
	return nil
}

func eachDeployment(tx *bolt.Tx, f func(Deployment) error) error {
	return tx.Bucket(deploymentBucket).ForEach(func(k, v []byte) error {
		var d Deployment
		if err := json.Unmarshal(v, &d); err != nil {
			return fmt.Errorf("decode deployment %s: %w", k, err)
		}
		return f(d)
	})
}

func putDeployment(tx *bolt.Tx, d Deployment) error {
	b, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("encode deployment %s: %w", d.ID, err)
	}
	return tx.Bucket(deploymentBucket).Put([]byte(d.ID), b)
}
