package mezzo

import (
	"math"
	"slices"
	"testing"
)

func TestResourcesSaturate(t *testing.T) {
	large := Resources{CPUMilli: math.MaxUint64, Ports: math.MaxUint32, Custom: map[string]uint64{"seat": 1}}
	if sum := large.Plus(large); sum.CPUMilli != math.MaxUint64 || sum.Ports != math.MaxUint32 || sum.Custom["seat"] != 2 {
		t.Errorf("%+v", sum)
	}
	if large.Custom["seat"] != 1 {
		t.Error("the sum has changed its part")
	}
	if rest := (Resources{CPUMilli: 1}).Minus(large); !rest.IsZero() {
		t.Errorf("%+v", rest)
	}
	if product := large.Times(3); product.CPUMilli != math.MaxUint64 || product.Custom["seat"] != 3 {
		t.Errorf("%+v", product)
	}
	if large.Holds(Resources{Custom: map[string]uint64{"tape": 1}}) {
		t.Error("it holds what it has not")
	}
}

func TestAPlanFillsOneOfferAfterTheOther(t *testing.T) {
	offer := func(id OfferID, cpu uint64) Offer {
		return Offer{ID: id, Free: Resources{CPUMilli: cpu, MemoryBytes: 64 * MiB}}
	}
	offers := []Offer{offer(1, 250), offer(2, 100)}
	plan := NewPlan(offers)
	place := func(task Task, want bool) {
		t.Helper()
		if got := plan.Place("d", task); got != want {
			t.Errorf("%s: %t", task.ID, got)
		}
	}
	small := func(id string, memory uint64) Task {
		task := ProcessTask(id, "true")
		task.Resources = Resources{CPUMilli: 50, MemoryBytes: memory}
		return task
	}
	place(ProcessTask("t0", "true"), true)
	place(ProcessTask("t1", "true"), true)
	place(ProcessTask("t2", "true"), true)
	place(ProcessTask("t3", "true"), false)
	place(small("t4", 1), false) // the first has no memory left, the second no processor
	place(small("t5", 0), true)
	if first := offers[0].Free.CPUMilli; first != 250 {
		t.Errorf("the plan has changed the offers: %d", first)
	}
	var used []OfferID
	for _, placement := range plan.Placements() {
		used = append(used, placement.Offer)
	}
	if want := []OfferID{1, 1, 2, 1}; !slices.Equal(used, want) {
		t.Errorf("the offers used are %v, not %v", used, want)
	}
}
