package admin

import "time"

// Hasten shortens what slow clients are given.
func (o *Options) Hasten(header, request time.Duration) { o.header, o.request = header, request }
