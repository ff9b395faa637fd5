package main

import (
	"errors"
	"testing"

	tasks "NAME/build/bindings/exports/export_example_NAME_tasks"
	"NAME/umbel"
)

func TestNumbersAreSummarized(t *testing.T) {
	summary, err := plugin{}.Summarize([]float64{3, 1, 2})
	if err != nil || summary != (tasks.Summary{Count: 3, Mean: 2, Largest: 3}) {
		t.Errorf("%+v, %v", summary, err)
	}
	if _, err := (plugin{}).Summarize(nil); err == nil {
		t.Error("no numbers have no mean")
	}
}

func TestAmountsAreAddedUpLineByLine(t *testing.T) {
	umbel.SetContext(umbel.Context{ID: "1"})
	if sum, err := (plugin{}).AddUp("12.50\n7.25"); err != nil || sum != 19.75 {
		t.Errorf("%v, %v", sum, err)
	}
	if len(umbel.Updates) != 2 {
		t.Errorf("%+v", umbel.Updates)
	}
}

func TestWhatHasNotArrivedIsTriedAgain(t *testing.T) {
	var retry *umbel.RetryError
	if _, err := (plugin{}).AddUp(""); !errors.As(err, &retry) {
		t.Errorf("%v", err)
	}
}
