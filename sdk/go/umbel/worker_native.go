//go:build !wasip1

package umbel

import "time"

// What tests set and see; a task under test runs in no worker.
var (
	context Context
	// Updates is what the code under test has told of itself, oldest first.
	Updates []Told
)

// Told is one call of Update.
type Told struct{ State, Details string }

// SetContext sets what Current returns in a test, and forgets all updates.
func SetContext(test Context) { context, Updates = test, nil }

func current() Context { return context }

func remaining() time.Duration { return time.Hour }

func update(state, details string) { Updates = append(Updates, Told{state, details}) }
