package umbel

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"
)

func TestErrorsSayHowATaskEnds(t *testing.T) {
	second, three := time.Second, uint32(3)
	for _, test := range []struct {
		err    error
		ending Ending
	}{
		{errors.New("no luck"), Ending{Kind: "TaskError", Message: "no luck"}},
		{Failed("ValueError", "not %d", 3), Ending{Kind: "ValueError", Message: "not 3"}},
		{
			&Failure{Kind: "Full", Message: "full", Data: map[string]int{"left": 0}},
			Ending{Kind: "Full", Message: "full", Data: `{"left":0}`},
		},
		{
			fmt.Errorf("wrapped: %w", Retry(Failed("OSError", "busy")).After(second).AtMost(three)),
			Ending{Verdict: Retried, Kind: "OSError", Message: "busy", After: &second, Max: &three},
		},
		{ErrReject, Ending{Verdict: Rejected}},
		{fmt.Errorf("later: %w", ErrRequeue), Ending{Verdict: Requeued}},
		{ErrIgnore, Ending{Verdict: Ignored}},
	} {
		if ending := EndingOf(test.err); !reflect.DeepEqual(ending, test.ending) {
			t.Errorf("%v: %+v, not %+v", test.err, ending, test.ending)
		}
	}
}

func TestWhatATaskTellsIsKeptForTests(t *testing.T) {
	SetContext(Context{ID: "1"})
	Progress(1, 2)
	told := Told{"PROGRESS", `{"current":1,"total":2}`}
	if len(Updates) != 1 || Updates[0] != told || Current().ID != "1" {
		t.Errorf("%+v", Updates)
	}
}

func TestJSONIsReadAndWritten(t *testing.T) {
	var value struct{ Name string }
	if err := Decode(`{"Name": "Ada"}`, &value); err != nil || value.Name != "Ada" {
		t.Errorf("%+v %v", value, err)
	}
	if text, err := Encode([]int{1, 2}); err != nil || text != "[1,2]" {
		t.Errorf("%s %v", text, err)
	}
}
