package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/web"
)

func answer(t *testing.T, handler http.HandlerFunc, path string) (web.Response, error) {
	t.Helper()
	return web.Answer(&mezzo.Cx{}, handler, web.Request{ID: 1, Method: "GET", Path: path, Header: http.Header{}})
}

func TestAnswersAreThoseOfNetHTTP(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"nothing":      {func(http.ResponseWriter, *http.Request) {}, "200 map[] "},
		"text":         {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hi") }, "200 map[Content-Type:[text/plain; charset=utf-8]] hi"},
		"late headers": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.Header().Set("A", "b") }, "201 map[] "},
		"two statuses": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); w.WriteHeader(200) }, "404 map[] "},
		"error":        {func(w http.ResponseWriter, _ *http.Request) { web.Error(w, 429, "limit", "no") }, `429 map[Content-Type:[application/json]] {"error":{"code":"limit","message":"no"}}` + "\n"},
	} {
		response, err := answer(t, c.handler, "/")
		if got := fmt.Sprint(response.Status, " ", response.Header, " ", string(response.Body)); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestABadPathOrStatusIsRefused(t *testing.T) {
	if response, err := answer(t, nil, "no path"); response.Status != http.StatusBadRequest || err != nil {
		t.Errorf("%+v, %v", response, err)
	}
	if _, err := answer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(600) }, "/"); err == nil {
		t.Error("600 is accepted")
	}
}

func TestOnlyTheMastersRequestsAreTurns(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("another request is a turn")
		}
	}()
	web.Cx(httptest.NewRequestWithContext(context.Background(), "GET", "/", nil))
}
