package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	tasks "mail/build/bindings/exports/export_example_mail_tasks"
	"mail/umbel"
)

// post is what it is in a worker, by Go's own client: tests run natively.
func post(address *url.URL, headers map[string]string, body []byte) (answer, error) {
	request, err := http.NewRequest("POST", address.String(), bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header.Get("Retry-After"), content}, err
}

// confirm sends a mail to a provider that answers so; gives the body and what came of it.
func confirm(t *testing.T, status int, headers map[string]string) (string, string, error) {
	var got []byte
	provider := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		got, _ = io.ReadAll(in.Body)
		for name, value := range headers {
			out.Header().Set(name, value)
		}
		out.WriteHeader(status)
		_, _ = out.Write([]byte(`{"id": "m-1"}`))
	}))
	defer provider.Close()
	t.Setenv("MAIL_URL", provider.URL)
	umbel.SetContext(umbel.Context{ID: "1"})
	id, err := plugin{}.ConfirmOrder("ada@example.com", "Ada", []tasks.Item{{Title: "Tea", Price: 3.5, Count: 2}})
	return string(got), id, err
}

func TestAnOrderIsConfirmed(t *testing.T) {
	body, id, err := confirm(t, 200, nil)
	if err != nil || id != "m-1" || !strings.Contains(body, "2 x Tea                                 3.50") {
		t.Errorf("%s %v %s", id, err, body)
	}
}

func TestABusyProviderIsAskedAgainWhenItSays(t *testing.T) {
	for status, retried := range map[int]bool{429: true, 503: true, 404: false} {
		var retry *umbel.RetryError
		if _, _, err := confirm(t, status, map[string]string{"Retry-After": "7"}); errors.As(err, &retry) != retried {
			t.Errorf("%d: %v", status, err)
		}
	}
	if ending := umbel.EndingOf(later(errors.New("busy"), "7")); ending.After.Seconds() != 7 {
		t.Errorf("%+v", ending)
	}
}
