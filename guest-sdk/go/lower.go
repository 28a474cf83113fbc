package mezzo

import (
	"maps"
	"slices"
	"time"

	"mezzo.dev/go/internal/canon"
)

// The contract's records as they are written, field by field in the contract's order; see lift.go. Each size is checked
// whenever a list is written.
const (
	customBytes    = 16
	conditionBytes = 20
	demandBytes    = 88
	pairBytes      = 16
	portBytes      = 12
	fileBytes      = 20
	placementBytes = 184
)

func lowerText(w *canon.Writer, text string) { w.Text(text) }

func lowerOptionalText(w *canon.Writer, text string) {
	payload := w.Variant(flag(text != ""), 4, 8)
	payload.Text(text)
}

func lowerOptionalU64(w *canon.Writer, there bool, value uint64) {
	payload := w.Variant(flag(there), 8, 8)
	payload.U64(value)
}

func flag(there bool) uint8 {
	if there {
		return 1
	}
	return 0
}

type pair struct{ key, value string }

// sorted is a map in the order of its keys, so that equal values are equal in memory, too.
func sorted(all map[string]string) []pair {
	pairs := make([]pair, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		pairs = append(pairs, pair{key, all[key]})
	}
	return pairs
}

func lowerPair(w *canon.Writer, p pair) {
	w.Text(p.key)
	w.Text(p.value)
}

func lowerPairs(w *canon.Writer, all map[string]string) {
	canon.WriteList(w, sorted(all), pairBytes, 4, lowerPair)
}

type customAmount struct {
	name  string
	milli uint64
}

func (r Resources) sortedCustom() []customAmount {
	custom := make([]customAmount, 0, len(r.Custom))
	for _, name := range slices.Sorted(maps.Keys(r.Custom)) {
		custom = append(custom, customAmount{name, r.Custom[name]})
	}
	return custom
}

func lowerCustom(w *canon.Writer, amount customAmount) {
	w.Text(amount.name)
	w.U64(amount.milli)
}

func lowerResources(w *canon.Writer, r Resources) {
	w.U64(r.CPUMilli)
	w.U64(r.MemoryBytes)
	w.U64(r.DiskBytes)
	w.U32(r.GPUs)
	w.U32(r.Ports)
	canon.WriteList(w, r.sortedCustom(), customBytes, 8, lowerCustom)
	w.Align(8)
}

func lowerDemand(w *canon.Writer, d Demand) {
	w.Text(d.Name)
	w.Align(8)
	lowerResources(w, d.Each)
	w.U32(d.Count)
	canon.WriteList(w, d.Conditions, conditionBytes, 4, func(w *canon.Writer, c Condition) {
		w.Text(c.Attribute)
		w.U8(uint8(c.Test))
		w.Text(c.Value)
	})
	canon.WriteList(w, d.FixedPorts, 2, 2, (*canon.Writer).U16)
	w.U8(uint8(d.Prefer))
	canon.WriteList(w, d.Reservations, 8, 8, func(w *canon.Writer, id ReservationID) { w.U64(uint64(id)) })
	w.Bool(d.Together)
	w.U32(uint32(d.Priority))
}

func lowerPlacement(w *canon.Writer, p Placement) {
	w.U64(uint64(p.Offer))
	lowerOptionalText(w, p.Demand)
	w.Align(8)
	lowerTask(w, p.Task)
}

func lowerTask(w *canon.Writer, t Task) {
	w.Text(t.ID)
	w.Text(t.Name)
	lowerWorkload(w, t.Workload)
	w.Align(8)
	lowerResources(w, t.Resources)
	lowerPairs(w, t.Env)
	lowerPairs(w, t.Labels)
	canon.WriteList(w, t.Ports, portBytes, 4, func(w *canon.Writer, p Port) {
		w.Text(p.Name)
		fixed := w.Variant(flag(p.Fixed != 0), 2, 2)
		fixed.U16(p.Fixed)
	})
	canon.WriteList(w, t.Files, fileBytes, 4, func(w *canon.Writer, f File) {
		w.Text(f.Path)
		w.Bytes(f.Content)
		w.Bool(f.Executable)
	})
	w.U64(milliseconds(t.KillGrace))
	lowerOptionalU64(w, t.RuntimeMax != 0, milliseconds(t.RuntimeMax))
	canon.WriteList(w, t.Mounts, pairBytes, 4, func(w *canon.Writer, m Mount) {
		w.Text(m.Volume)
		w.Text(m.Path)
	})
	w.Bool(t.Preemptible)
	lowerPairs(w, t.Extra)
	w.Align(8)
}

func lowerWorkload(w *canon.Writer, workload Workload) {
	const align, size = 4, 16
	argv := func(w *canon.Writer, argv []string) { canon.WriteList(w, argv, 8, 4, lowerText) }
	switch workload := workload.(type) {
	case Process:
		payload := w.Variant(0, align, size)
		argv(&payload, workload.Argv)
	case Container:
		payload := w.Variant(1, align, size)
		payload.Text(workload.Image)
		argv(&payload, workload.Argv)
	case Module:
		payload := w.Variant(2, align, size)
		payload.Text(workload.Component)
		argv(&payload, workload.Argv)
	default:
		// No workload: the master refuses a process without a program, and says so.
		payload := w.Variant(0, align, size)
		argv(&payload, nil)
	}
}

// untilMilli is what the contract says for an instant that may be the zero value: none.
func untilMilli(until time.Time) (there bool, ms uint64) {
	if until.IsZero() {
		return false, 0
	}
	return true, uint64(max(until.UnixMilli(), 0))
}
