package load

import "time"

// schedule is when the requests of one loop of an open loop run are due: every
// interval, the first after offset, all from the run's beginning. Loops take turns,
// so their offsets differ and together they are evenly spaced.
type schedule struct {
	interval float64 // ns between two requests of this loop
	offset   float64 // ns
	next     int64   // number of the next one that was not taken
}

// newSchedule is that of loop i of n at rate requests a second in all.
func newSchedule(rate float64, i, n int) schedule {
	all := float64(time.Second) / rate
	return schedule{interval: all * float64(n), offset: all * float64(i)}
}

// due is when the next request is due. It is computed from its number, and not from
// when the last one left: being late once moves nothing that follows.
func (s *schedule) due() time.Duration {
	return time.Duration(s.offset + float64(s.next)*s.interval)
}

// take counts the next request as sent, and tells when it was due.
func (s *schedule) take() time.Duration {
	d := s.due()
	s.next++
	return d
}
