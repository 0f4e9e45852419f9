package tron

import "time"

// Hasten shortens what slow clients are given.
func (o *Options) Hasten(header, body, piece time.Duration) {
	o.times = times{header, body, piece}
}

// The bounds of guesses.
const (
	GuessBurst = guessBurst
	GuessEvery = guessEvery
)
