package web_test

import (
	"net/http"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/web"
)

type counter struct {
	mezzo.Base
	http.Handler
	count *mezzo.Value[int]
}

func (c *counter) add(w http.ResponseWriter, r *http.Request) {
	c.count.Edit(func(n *int) { *n++ })
	web.Cx(r).Log().Info("counted", "by", web.Principal(r))
	web.JSON(w, http.StatusOK, c.count.Get())
}

// A framework is its own handler; here an embedded mux.
func Example() {
	start := func(cx *mezzo.Cx, _ mezzo.Setup) (*counter, error) {
		count, err := mezzo.LoadValue[int](cx, "count")
		mux := http.NewServeMux()
		c := &counter{Handler: mux, count: count}
		mux.HandleFunc("POST /{$}", c.add)
		return c, err
	}
	web.Export(start) // in an init function
}

// A response that goes on after its turn: here one that a timer ends.
func ExampleStream() {
	_ = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		id := web.Stream(w)
		web.Cx(r).StreamWrite(id, []byte("data: hello\n\n"))
	}
}
