package mezzo

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

// NewLogHandler is a handler that writes to the framework's log: the message, then the attributes as key=value. The
// master knows the time itself, and the level goes with the line.
func NewLogHandler(host Host) slog.Handler {
	h := &logHandler{host: host, line: &line{}}
	h.text = slog.NewTextHandler(&h.line.rest, &slog.HandlerOptions{
		Level:       slog.LevelDebug,
		ReplaceAttr: withoutBuiltIns,
	})
	return h
}

type logHandler struct {
	host Host
	text slog.Handler
	line *line
}

// line is where the text handler puts the attributes of one record.
type line struct {
	sync.Mutex
	rest bytes.Buffer
}

func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	h.line.Lock()
	defer h.line.Unlock()
	h.line.rest.Reset()
	record.Time = time.Time{} // not shown
	if err := h.text.Handle(ctx, record); err != nil {
		return err
	}
	message := record.Message
	if rest := bytes.TrimSpace(h.line.rest.Bytes()); len(rest) > 0 {
		message += " " + string(rest)
	}
	h.host.Log(record.Level, message)
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.host, h.text.WithAttrs(attrs), h.line}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.host, h.text.WithGroup(name), h.line}
}

// withoutBuiltIns leaves out what the text handler would say of the record itself.
func withoutBuiltIns(groups []string, attr slog.Attr) slog.Attr {
	_, isLevel := attr.Value.Any().(slog.Level)
	if len(groups) == 0 && (attr.Key == slog.MessageKey || attr.Key == slog.LevelKey && isLevel) {
		return slog.Attr{}
	}
	return attr
}
