package umbel

import (
	"time"

	"mail/build/bindings/imports/umbel_task_context"
	"mail/build/bindings/imports/umbel_task_progress"
)

func current() Context {
	request := umbel_task_context.Current()
	context := Context{
		ID:          request.Id,
		Name:        request.Name,
		Retries:     request.Retries,
		RootID:      request.RootId,
		ParentID:    request.ParentId.SomeOr(""),
		GroupID:     request.GroupId.SomeOr(""),
		Queue:       request.Delivery.RoutingKey,
		Redelivered: request.Delivery.Redelivered,
	}
	if err := Decode(request.Headers, &context.Headers); err != nil {
		panic(err) // the worker writes JSON
	}
	return context
}

func remaining() time.Duration {
	return time.Duration(umbel_task_context.RemainingMs()) * time.Millisecond
}

func update(state, details string) { umbel_task_progress.Update(state, details) }
