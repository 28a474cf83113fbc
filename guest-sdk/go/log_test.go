package mezzo

import (
	"log/slog"
	"slices"
	"testing"
)

type logHost struct {
	Host
	lines []string
}

func (h *logHost) Log(level slog.Level, message string) {
	h.lines = append(h.lines, level.String()+" "+message)
}

func TestLinesHaveTheMessageAndTheAttributes(t *testing.T) {
	host := &logHost{}
	log := slog.New(NewLogHandler(host))
	log.Info("plain")
	log.Error("with attributes", "n", 1, "text", "two words")
	log.With("a", 1).WithGroup("g").Debug("grouped", "msg", "m", "level", 2)
	log.Warn("user's own", "level", 3)
	want := []string{
		"INFO plain",
		`ERROR with attributes n=1 text="two words"`,
		"DEBUG grouped a=1 g.msg=m g.level=2",
		"WARN user's own level=3",
	}
	if !slices.Equal(host.lines, want) {
		t.Errorf("%q", host.lines)
	}
}
