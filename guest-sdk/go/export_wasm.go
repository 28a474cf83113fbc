package mezzo

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"mezzo.dev/go/internal/canon"
	"mezzo.dev/go/internal/wired"
)

var (
	exported Start[Framework]
	live     *Instance
)

func init() {
	wired.Host, wired.FailTurn, wired.ExplainPanic = Host(master{}), failTurn, explainPanic
}

func export(start Start[Framework]) {
	if exported != nil {
		panic("mezzo: Export is called twice; a component is one framework")
	}
	exported = start
	slog.SetDefault(slog.New(NewLogHandler(master{})))
}

//go:wasmexport mezzo:framework/scheduler@0.1.0#start
func exportedStart(now uint64, nameAt, nameLen, roleAt, roleLen, optionsAt, optionsLen,
	hasUpgradedFrom, upgradedFromAt, upgradedFromLen uint32) uint32 {
	canon.EnterExport()
	setup := Setup{
		Name:    canon.TextAt(nameAt, nameLen),
		Role:    canon.TextAt(roleAt, roleLen),
		Options: canon.TextAt(optionsAt, optionsLen),
	}
	if hasUpgradedFrom != 0 {
		setup.UpgradedFrom = canon.TextAt(upgradedFromAt, upgradedFromLen)
	}
	canon.Leave()
	defer explainPanic()
	err := startExported(now, setup)
	canon.HoldResult()
	w := canon.NewWriter(12, 4)
	result := w.At()
	payload := w.Variant(flag(err != nil), 4, 8)
	if err != nil {
		payload.Text(err.Error())
	}
	return result
}

func startExported(now uint64, setup Setup) error {
	if exported == nil {
		return fmt.Errorf("the program does not call mezzo.Export in an init function")
	}
	instance, err := StartInstance(master{}, instant(now), setup, exported)
	live, wired.Instance = instance, instance
	return err
}

//go:wasmexport mezzo:framework/scheduler@0.1.0#handle
func exportedHandle(now uint64, eventsAt, eventsLen uint32) {
	canon.EnterExport()
	events := canon.ListAt(eventsAt, eventsLen, 4, liftEvent)
	canon.Leave()
	defer explainPanic()
	if err := live.Handle(master{}, instant(now), events); err != nil {
		failTurn(err)
	}
}

// failTurn undoes the turn and ends the instance; the error is the fault's message.
func failTurn(err error) {
	fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", " "))
	canon.Trap()
}

// explainPanic turns a panic into a fault whose message is what was panicked with; where it was goes to the log.
// Defer it. A panic in another goroutine ends the instance with Go's own words on the log.
func explainPanic() {
	value := recover()
	if value == nil {
		return
	}
	var where strings.Builder
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") && frame.Function != "" {
			fmt.Fprintf(&where, "\nat %s (%s:%d)", frame.Function, frame.File, frame.Line)
		}
		if !more {
			break
		}
	}
	master{}.Log(slog.LevelError, "the turn is undone: it panicked"+where.String())
	failTurn(fmt.Errorf("panic: %v", value))
}
