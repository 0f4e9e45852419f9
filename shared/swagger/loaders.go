package swagger

import (
	"encoding/json"
	"fmt"

	"github.com/go-openapi/loads"
	"github.com/go-openapi/swag/loading"
)

// go-openapi follows a `$ref` to any file or URL with a loader that is global to
// the process, also late, while a request is checked. Parse lets no such `$ref`
// through, but that rests on our reading of theirs: a document comes from
// outside, and one oversight would let it read this machine's files and
// internal addresses. So the loader itself is replaced, whole: AddLoader would
// leave the old one behind the new.
func init() {
	loads.SetLoaders(loads.NewDocLoaderWithMatch(refuseLoad, nil))
}

func refuseLoad(path string, _ ...loading.Option) (json.RawMessage, error) {
	return nil, fmt.Errorf("load %s: a swagger document may only refer to itself", clip(path))
}
