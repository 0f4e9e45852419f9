package bundle

// Open reads the bundle in the file path. The error is an *Error that names
// everything for which the bundle was refused, or what the file system said.
func Open(path string) (*Bundle, error) {
	return nil, &Error{Problems: []string{"empty"}}
}

// Unpack writes the files of the bundle in the file path into dir, an existing
// empty folder.
func Unpack(path, dir string) error {
	return &Error{Problems: []string{"empty"}}
}
