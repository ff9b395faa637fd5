package main

import (
	"fmt"
	"net/url"
	"slices"

	"mail/build/bindings/imports/wasi_http_outgoing_handler"
	http "mail/build/bindings/imports/wasi_http_types"
	wit "mail/build/bindings/wit/types"
)

// post sends a request through wasi:http, and waits for all of the answer.
func post(address *url.URL, headers map[string]string, body []byte) (answer, error) {
	var entries []wit.Tuple2[string, []uint8]
	for name, value := range headers {
		entries = append(entries, wit.Tuple2[string, []uint8]{F0: name, F1: []byte(value)})
	}
	request := http.MakeOutgoingRequest(http.FieldsFromList(entries).Ok())
	scheme := map[string]http.Scheme{"http": http.MakeSchemeHttp(), "https": http.MakeSchemeHttps()}
	request.SetMethod(http.MakeMethodPost())
	request.SetScheme(wit.Some(scheme[address.Scheme]))
	request.SetAuthority(wit.Some(address.Host))
	request.SetPathWithQuery(wit.Some(address.RequestURI()))
	outgoing := request.Body().Ok()
	begun := wasi_http_outgoing_handler.Handle(request, wit.None[*http.RequestOptions]())
	if begun.IsErr() {
		return answer{}, fmt.Errorf("%s: error %d of wasi:http", address.Host, begun.Err().Tag())
	}
	stream := outgoing.Write().Ok()
	for part := range slices.Chunk(body, 4096) { // no more at once
		stream.BlockingWriteAndFlush(part) // what went wrong is told below
	}
	stream.Drop()
	http.OutgoingBodyFinish(outgoing, wit.None[*http.Fields]())
	begun.Ok().Subscribe().Block()
	got := begun.Ok().Get().Some().Ok()
	if got.IsErr() {
		return answer{}, fmt.Errorf("%s: error %d of wasi:http", address.Host, got.Err().Tag())
	}
	response := answer{status: int(got.Ok().Status())}
	for _, value := range got.Ok().Headers().Get("Retry-After") {
		response.retryAfter = string(value)
	}
	content := got.Ok().Consume().Ok().Stream().Ok()
	for part := content.BlockingRead(1 << 16); part.IsOk(); part = content.BlockingRead(1 << 16) {
		response.body = append(response.body, part.Ok()...)
	}
	return response, nil
}
