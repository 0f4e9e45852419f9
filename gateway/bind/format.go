package bind

import (
	"strings"

	"github.com/go-openapi/strfmt"
)

// formatCheck is the check of a string format, nil where there is none:
// go-openapi's, but the common ones called directly, because its registry takes
// a lock that all requests would share.
func formatCheck(format string) func(string) bool {
	switch name := strings.ReplaceAll(format, "-", ""); name {
	case "", "password", "binary":
		return nil
	case "date":
		return strfmt.IsDate
	case "datetime":
		return strfmt.IsDateTime
	case "uuid":
		return strfmt.IsUUID
	case "uuid3":
		return strfmt.IsUUID3
	case "uuid4":
		return strfmt.IsUUID4
	case "uuid5":
		return strfmt.IsUUID5
	case "email":
		return strfmt.IsEmail
	case "hostname":
		return strfmt.IsHostname
	case "duration":
		return strfmt.IsDuration
	case "bsonobjectid":
		return strfmt.IsBSONObjectID
	default:
		if !strfmt.Default.ContainsName(format) {
			return nil // "additional format values MAY be used" (Swagger 2.0, Data Types)
		}
		return func(s string) bool { return strfmt.Default.Validates(format, s) }
	}
}
