// Package web serves HTTP from a framework, below /fw/<name>/ of the master, through net/http's own interfaces.
//
// A framework is its own [http.Handler]; embedding one, such as a [http.ServeMux], is the usual way. Each request is a
// turn like any other: its response leaves when the turn has committed. [Cx] gives a handler the turn.
//
//	type counter struct {
//		mezzo.Base
//		http.Handler
//		count *mezzo.Value[int]
//	}
//
//	func (c *counter) add(w http.ResponseWriter, r *http.Request) {
//		c.count.Edit(func(n *int) { *n++ })
//		web.JSON(w, http.StatusOK, c.count.Get())
//	}
//
//	func init() { web.Export(start) }
//
// A panic in a handler is a fault: the client gets status 500, and the turn is undone. So is a response that cannot be:
// a status outside of 200 to 599.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"

	mezzo "mezzo.dev/go"
)

// A Framework is a scheduler that also answers requests.
type Framework interface {
	mezzo.Framework
	http.Handler
}

// Export says which framework the program is, as [mezzo.Export] does, and that it serves HTTP. Call it once, in an init
// function.
func Export[F Framework](start mezzo.Start[F]) { mezzo.Export(start) }

// A Request is what a client asked for, as the master tells it.
type Request struct {
	// Names the response stream, if it becomes one.
	ID     mezzo.StreamID
	Method string
	// With the query, without /fw/<name>.
	Path   string
	Header http.Header
	Body   []byte
	// Who asks, as the master has authenticated them.
	Principal string
}

// A Response is the answer, as the master is told.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	// The body is sent with [mezzo.Cx.StreamWrite] under the request's ID.
	Stream bool
}

type contextKey struct{}

// call is what a request's context carries.
type call struct {
	cx        *mezzo.Cx
	principal string
}

func callOf(r *http.Request) call {
	found, ok := r.Context().Value(contextKey{}).(call)
	if !ok {
		panic("web: the request is none that the master sent")
	}
	return found
}

// Cx is the turn that a request is.
func Cx(r *http.Request) *mezzo.Cx { return callOf(r).cx }

// Principal is who asks, as the master has authenticated them.
func Principal(r *http.Request) string { return callOf(r).principal }

// Stream makes the response one that goes on: after this turn, and until [mezzo.Cx.StreamClose] or the client goes, its
// body is what [mezzo.Cx.StreamWrite] sends under the name that is returned. What is written to w in this turn comes
// first. It panics for a writer that is not the one that the handler was given.
func Stream(w http.ResponseWriter) mezzo.StreamID {
	for {
		switch writer := w.(type) {
		case *responseWriter:
			writer.stream = true
			return writer.id
		case interface{ Unwrap() http.ResponseWriter }:
			w = writer.Unwrap()
		default:
			panic(fmt.Sprintf("web: a %T is not the writer of a response of the master's", w))
		}
	}
}

// JSON answers with a JSON body.
func JSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("web: a response is no JSON: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

// Error refuses, as all of Mezzo does: with a body {"error": {"code", "message"}}.
func Error(w http.ResponseWriter, status int, code, message string) {
	type text struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	JSON(w, status, map[string]text{"error": {code, message}})
}

// Answer runs a request's turn. Inside a component the master's call does it, in tests the package mezzotest.
func Answer(cx *mezzo.Cx, handler http.Handler, request Request) (Response, error) {
	target, err := url.ParseRequestURI(request.Path)
	if err != nil {
		return Response{Status: http.StatusBadRequest}, nil // no URL, and no fault of the framework's
	}
	ctx := context.WithValue(context.Background(), contextKey{}, call{cx, request.Principal})
	r := (&http.Request{
		Method:        request.Method,
		URL:           target,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        request.Header,
		Body:          readCloser{bytes.NewReader(request.Body)},
		ContentLength: int64(len(request.Body)),
		Host:          request.Header.Get("Host"),
		RequestURI:    request.Path,
	}).WithContext(ctx)
	w := &responseWriter{id: request.ID, header: http.Header{}}
	handler.ServeHTTP(w, r)
	return w.finish(cx)
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// responseWriter keeps what a handler answers.
type responseWriter struct {
	id     mezzo.StreamID
	header http.Header
	sent   http.Header
	status int
	body   bytes.Buffer
	stream bool
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	// 1xx are for the master to send, if for anyone; the first other status counts, as in net/http.
	if w.status == 0 && status >= http.StatusOK {
		w.status, w.sent = status, w.header.Clone()
	}
}

func (w *responseWriter) Write(body []byte) (int, error) {
	w.begin(body)
	return w.body.Write(body)
}

func (w *responseWriter) begin(body []byte) {
	if w.status == 0 {
		if w.header.Get("Content-Type") == "" && len(body) > 0 {
			w.header.Set("Content-Type", http.DetectContentType(body))
		}
		w.WriteHeader(http.StatusOK)
	}
}

func (w *responseWriter) finish(cx *mezzo.Cx) (Response, error) {
	w.begin(nil)
	if w.status > 599 {
		return Response{}, fmt.Errorf("a response has the status %s; it may be 200 to 599", strconv.Itoa(w.status))
	}
	response := Response{Status: w.status, Header: w.sent, Stream: w.stream}
	if !w.stream {
		response.Body = w.body.Bytes()
	} else if w.body.Len() > 0 {
		cx.StreamWrite(w.id, w.body.Bytes())
	}
	return response, nil
}

// fields are the header's fields, in the order of their names.
func fields(header http.Header) [][2]string {
	var all [][2]string
	for name, values := range header {
		for _, value := range values {
			all = append(all, [2]string{name, value})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i][0] < all[j][0] })
	return all
}
