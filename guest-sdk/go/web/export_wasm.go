package web

import (
	"fmt"
	"net/http"
	"time"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/internal/canon"
	"mezzo.dev/go/internal/wired"
)

//go:wasmimport mezzo:framework/streams@0.1.0 write
func streamsWrite(request uint64, chunkAt, chunkLen uint32) uint32

//go:wasmimport mezzo:framework/streams@0.1.0 close
func streamsClose(request uint64)

func init() {
	wired.StreamWrite = func(request uint64, chunk []byte) bool {
		canon.Enter()
		defer canon.Leave()
		at, n := canon.LowerBytes(chunk)
		return streamsWrite(request, at, n) != 0
	}
	wired.StreamClose = func(request uint64) { streamsClose(request) }
}

//go:wasmexport mezzo:framework/web@0.1.0#handle
func exportedHandle(now, id uint64, methodAt, methodLen, pathAt, pathLen, headersAt, headersLen, bodyAt, bodyLen,
	principalAt, principalLen uint32) uint32 {
	canon.EnterExport()
	request := Request{
		ID:        mezzo.StreamID(id),
		Method:    canon.TextAt(methodAt, methodLen),
		Path:      canon.TextAt(pathAt, pathLen),
		Header:    http.Header{},
		Body:      canon.BytesAt(bodyAt, bodyLen),
		Principal: canon.TextAt(principalAt, principalLen),
	}
	for _, field := range canon.ListAt(headersAt, headersLen, 4, liftField) {
		request.Header.Add(field[0], field[1])
	}
	canon.Leave()
	defer wired.ExplainPanic()
	response := answer(now, request)
	canon.HoldResult()
	w := canon.NewWriter(24, 4)
	result := w.At()
	w.U16(uint16(response.Status))
	canon.WriteList(&w, fields(response.Header), 16, 4, func(w *canon.Writer, field [2]string) {
		w.Text(field[0])
		w.Text(field[1])
	})
	if response.Stream {
		w.Variant(1, 4, 8)
	} else {
		payload := w.Variant(0, 4, 8)
		payload.Bytes(response.Body)
	}
	return result
}

func liftField(r *canon.Reader) [2]string { return [2]string{r.Text(), r.Text()} }

func answer(now uint64, request Request) (response Response) {
	instance := wired.Instance.(*mezzo.Instance)
	handler, ok := instance.Framework().(http.Handler)
	if !ok {
		panic(fmt.Sprintf("a %T is no http.Handler: export the framework with web.Export", instance.Framework()))
	}
	err := instance.Turn(wired.Host.(mezzo.Host), time.UnixMilli(int64(now)), func(cx *mezzo.Cx) (err error) {
		response, err = Answer(cx, handler, request)
		return err
	})
	if err != nil {
		wired.FailTurn(err)
	}
	return response
}
