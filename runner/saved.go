package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/funcatron/funcatron/shared/statefile"
	"github.com/funcatron/funcatron/shared/wire"
)

// saved is deployments.json: what was live here and was not disabled, so that a
// Runner which starts while the Tron is away serves it from its cache. It holds
// props and is for the owner alone.
type saved struct {
	Version     int               `json:"version"`
	Deployments []wire.Deployment `json:"deployments"`
}

const savedVersion = 1

// readSaved reads what is to run. No file is an empty one.
func readSaved(path string) ([]wire.Deployment, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read saved deployments: %w", err)
	}
	var s saved
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("read saved deployments in %s: %w", path, err)
	}
	if s.Version != savedVersion {
		return nil, fmt.Errorf("read saved deployments in %s: version %d, this is %d", path, s.Version, savedVersion)
	}
	for _, d := range s.Deployments {
		if d.ID == "" || d.Queue == "" {
			return nil, fmt.Errorf("read saved deployments in %s: one has no id or no queue", path)
		}
	}
	return s.Deployments, nil
}

func writeSaved(path string, deployments []wire.Deployment) error {
	data, err := json.Marshal(saved{savedVersion, deployments})
	if err == nil {
		err = statefile.Write(path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("save deployments: %w", err)
	}
	return nil
}
