// Package umbel is what a task needs beside its own function: who called it, how far it is, and
// endings other than success. The folder belongs to the project; `umbel new` wrote it.
package umbel

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Verdict says what becomes of a task that returned an error.
type Verdict int

const (
	// FailedVerdict ends the task with state FAILURE.
	FailedVerdict Verdict = iota
	// Retried has the task run again later.
	Retried
	// Rejected gives the message to the dead letters.
	Rejected
	// Requeued puts the message back into its queue.
	Requeued
	// Ignored ends the task without a result.
	Ignored
)

// Ending is all that an error says to the worker.
type Ending struct {
	Verdict Verdict
	// Kind is the exception's name: a Python builtin (ValueError) is raised as that.
	Kind    string
	Message string
	// Data is JSON for the caller, or empty.
	Data string
	// After is how long to wait before the next try; nil: as the worker is configured.
	After *time.Duration
	// Max is the most retries; nil: as the worker is configured.
	Max *uint32
}

// Failure is an error that the caller sees as the exception Kind. Any other error is a TaskError.
type Failure struct {
	Kind    string
	Message string
	// Data becomes the exception's second argument; nil: none.
	Data any
}

func (failure *Failure) Error() string { return failure.Message }

// Failed returns an error that the caller sees as this exception.
func Failed(kind, format string, values ...any) error {
	return &Failure{Kind: kind, Message: fmt.Sprintf(format, values...)}
}

// RetryError asks for another run.
type RetryError struct {
	cause error
	after *time.Duration
	max   *uint32
}

// Retry returns an error that has the task run again; cause is what went wrong this time.
func Retry(cause error) *RetryError { return &RetryError{cause: cause} }

// After sets how long to wait before that.
func (retry *RetryError) After(wait time.Duration) *RetryError {
	retry.after = &wait
	return retry
}

// AtMost sets the most retries.
func (retry *RetryError) AtMost(times uint32) *RetryError {
	retry.max = &times
	return retry
}

func (retry *RetryError) Error() string { return "retry: " + retry.cause.Error() }

// Unwrap gives what went wrong.
func (retry *RetryError) Unwrap() error { return retry.cause }

var (
	// ErrReject gives the message to the dead letters.
	ErrReject = errors.New("rejected")
	// ErrRequeue puts the message back into its queue.
	ErrRequeue = errors.New("requeued")
	// ErrIgnore ends the task without a result.
	ErrIgnore = errors.New("ignored")
)

// EndingOf says how a task ends that returns this error, wrapped or not.
func EndingOf(err error) Ending {
	var retry *RetryError
	switch {
	case errors.As(err, &retry):
		ending := failed(retry.cause)
		ending.Verdict, ending.After, ending.Max = Retried, retry.after, retry.max
		return ending
	case errors.Is(err, ErrReject):
		return Ending{Verdict: Rejected}
	case errors.Is(err, ErrRequeue):
		return Ending{Verdict: Requeued}
	case errors.Is(err, ErrIgnore):
		return Ending{Verdict: Ignored}
	}
	return failed(err)
}

func failed(err error) Ending {
	ending := Ending{Kind: "TaskError", Message: err.Error()}
	var failure *Failure
	if errors.As(err, &failure) {
		ending.Kind = failure.Kind
		if data, err := json.Marshal(failure.Data); err == nil && failure.Data != nil {
			ending.Data = string(data)
		}
	}
	return ending
}
