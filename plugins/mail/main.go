// Command mail confirms orders by mail, through a provider's HTTP API.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"text/template"
	"time"

	tasks "mail/build/bindings/exports/export_example_mail_tasks"
	_ "mail/build/bindings/exports/wit_exports"
	"mail/umbel"
)

var confirmation = template.Must(template.New("confirmation").Parse(`Dear {{.Name}},

thank you for your order:
{{range .Items}}
{{printf "%4d x %-30s %9.2f" .Count .Title .Price}}{{end}}

{{printf "%-37s %9.2f" "Total" .Total}}
`))

type plugin struct{}

// ConfirmOrder confirms an order by mail, and gives the provider's id of it.
func (plugin) ConfirmOrder(to, name string, items []tasks.Item) (string, error) {
	order := struct {
		Name  string
		Items []tasks.Item
		Total float64
	}{Name: name, Items: items}
	for _, item := range items {
		order.Total += float64(item.Count) * item.Price
	}
	var text bytes.Buffer
	if err := confirmation.Execute(&text, order); err != nil {
		return "", err
	}
	mail, err := json.Marshal(map[string]string{"to": to, "subject": "Your order", "text": text.String()})
	if err != nil {
		return "", err
	}
	return send(mail)
}

// answer is what came of a request.
type answer struct {
	status     int
	retryAfter string
	body       []byte
}

// send hands a mail to the provider, who takes it once however often this task is run.
func send(mail []byte) (string, error) {
	address, err := url.Parse(os.Getenv("MAIL_URL"))
	if err != nil {
		return "", err
	}
	answer, err := post(address, map[string]string{
		"Authorization":   "Bearer " + os.Getenv("MAIL_TOKEN"),
		"Content-Length":  strconv.Itoa(len(mail)),
		"Content-Type":    "application/json",
		"Idempotency-Key": umbel.Current().ID,
	}, mail)
	if err != nil {
		return "", later(err, "")
	}
	if answer.status == 429 || answer.status >= 500 {
		return "", later(fmt.Errorf("the provider answered %d", answer.status), answer.retryAfter)
	}
	if answer.status >= 300 {
		return "", umbel.Failed("ValueError", "the provider answered %d: %s", answer.status, answer.body)
	}
	var sent struct{ ID string }
	if err := json.Unmarshal(answer.body, &sent); err != nil {
		return "", err
	}
	return sent.ID, nil
}

// later asks for another run when the provider says so, in seconds or by the clock; or in ten seconds.
func later(cause error, retryAfter string) error {
	wait := 10 * time.Second
	if seconds, err := strconv.Atoi(retryAfter); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := time.Parse(time.RFC1123, retryAfter); err == nil {
		wait = max(time.Until(date), 0)
	}
	return umbel.Retry(umbel.Failed("ConnectionError", "%v", cause)).After(wait).AtMost(5)
}

func init() { tasks.Register(plugin{}) }

func main() {}
