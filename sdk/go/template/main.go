// Command NAME holds tasks for Celery callers: each method of plugin is one.
package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tasks "NAME/build/bindings/exports/export_example_NAME_tasks"
	_ "NAME/build/bindings/exports/wit_exports"
	"NAME/umbel"
)

type plugin struct{}

// Summarize counts numbers, and finds their mean and the largest of them.
func (plugin) Summarize(numbers []float64) (tasks.Summary, error) {
	if len(numbers) == 0 {
		return tasks.Summary{}, errors.New("there are no numbers")
	}
	sum := 0.0
	for _, number := range numbers {
		sum += number
	}
	count := len(numbers)
	return tasks.Summary{Count: uint32(count), Mean: sum / float64(count), Largest: slices.Max(numbers)}, nil
}

// AddUp adds up amounts such as 12.50, told apart by lines. An empty text has not arrived yet: the
// task is run again two seconds later, three times at most.
func (plugin) AddUp(text string) (float64, error) {
	if text == "" {
		cause := fmt.Errorf("nothing arrived for %s", umbel.Current().ID)
		return 0, umbel.Retry(cause).After(2 * time.Second).AtMost(3)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	sum := 0.0
	for done, line := range lines {
		amount, err := strconv.ParseFloat(strings.TrimSpace(line), 64)
		if err != nil {
			return 0, umbel.Failed("ValueError", "line %d is no amount: %s", done+1, line)
		}
		sum += amount
		umbel.Progress(done+1, len(lines))
	}
	return sum, nil
}

func init() { tasks.Register(plugin{}) }

func main() {}
