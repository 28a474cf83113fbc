package mezzotest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/web"
)

// Do sends a request to the framework, which must be one for the package web; one turn answers it. It starts the
// framework if need be. Make the request with [httptest.NewRequest]; its host does not matter.
//
// The status is 500 when the turn had a fault. A response that goes on has its body in [Cluster.Stream], and its name in
// the second result; otherwise that is 0.
func (c *Cluster[F]) Do(request *http.Request) (*http.Response, mezzo.StreamID) {
	c.t.Helper()
	if err := c.Start(); err != nil {
		c.t.Fatalf("the framework refuses to start: %v", err)
	}
	c.world.agentsAct()
	framework, _ := c.Framework()
	handler, ok := any(framework).(http.Handler)
	if !ok {
		c.t.Fatalf("a %T is no http.Handler", framework)
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		c.t.Fatalf("the request's body: %v", err)
	}
	id := mezzo.StreamID(c.world.freshID())
	// Open while the turn lasts, as in the master: whether it stays so is for the answer to say.
	c.world.streams[id] = &stream{open: true}
	var response web.Response
	fault := c.turn(told{}, func(instance *mezzo.Instance, host mezzo.Host) error {
		return instance.Turn(host, c.world.now, func(cx *mezzo.Cx) (err error) {
			response, err = web.Answer(cx, handler, web.Request{
				ID:        id,
				Method:    request.Method,
				Path:      request.URL.RequestURI(),
				Header:    request.Header.Clone(),
				Body:      body,
				Principal: "tester",
			})
			return err
		})
	})
	if fault != nil {
		response = web.Response{Status: http.StatusInternalServerError}
	}
	if !response.Stream {
		delete(c.world.streams, id)
		id = 0
	}
	recorder := httptest.NewRecorder()
	for name, values := range response.Header {
		recorder.Header()[name] = values
	}
	recorder.WriteHeader(response.Status)
	recorder.Write(response.Body)
	return recorder.Result(), id
}

// Request is Do for the usual case: the status and the body of the answer.
func (c *Cluster[F]) Request(method, path, body string) (status int, answer string) {
	c.t.Helper()
	response, _ := c.Do(httptest.NewRequest(method, path, bytes.NewBufferString(body)))
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatalf("the answer's body: %v", err)
	}
	return response.StatusCode, string(text)
}

// Stream is what a response that goes on has sent so far, and whether more may come.
func (c *Cluster[F]) Stream(id mezzo.StreamID) (body string, open bool) {
	c.t.Helper()
	stream := c.world.streams[id]
	if stream == nil {
		c.t.Fatalf("there is no stream %d", id)
	}
	return string(stream.body), stream.open
}

// LeaveStream: the client of a stream goes away.
func (c *Cluster[F]) LeaveStream(id mezzo.StreamID) {
	if stream := c.world.streams[id]; stream != nil && stream.open {
		stream.open = false
		c.world.streamsGone = append(c.world.streamsGone, id)
	}
}
