package umbel

import (
	"encoding/json"
	"time"
)

// Context is the message that started this run.
type Context struct {
	// ID is the task's id, kept by its retries.
	ID string
	// Name is what the task was called by.
	Name string
	// Retries is how often it has been retried.
	Retries uint32
	RootID  string
	// ParentID and GroupID are empty where there is none.
	ParentID, GroupID string
	// Headers are the caller's own.
	Headers map[string]any
	// Queue is the routing key that the message was published with.
	Queue string
	// Redelivered is true if the message was handed out before.
	Redelivered bool
}

// Current returns the message that started this run; natively, where tests run, what SetContext set.
func Current() Context { return current() }

// Remaining returns how long the task may still run.
func Remaining() time.Duration { return remaining() }

// Progress tells whoever follows the task that done of total is done: state PROGRESS, with
// {"current": done, "total": total}.
func Progress(done, total int) { Update("PROGRESS", map[string]int{"current": done, "total": total}) }

// Update stores a state of the task's own with details, any value that encoding/json takes.
func Update(state string, details any) {
	text, err := json.Marshal(details)
	if err != nil {
		panic(err) // a value that no task can send
	}
	update(state, string(text))
}

// Decode reads a parameter of WIT's type json into a Go value.
func Decode(text string, value any) error { return json.Unmarshal([]byte(text), value) }

// Encode makes a result of WIT's type json of a Go value.
func Encode(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}
