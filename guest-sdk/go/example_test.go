package mezzo_test

import (
	"errors"
	"fmt"
	"time"

	mezzo "mezzo.dev/go"
)

// ring launches its sixteen members together, on agents with fast disks.
type ring struct{ mezzo.Base }

func (r *ring) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	plan := mezzo.NewPlan(offers)
	for n := range 16 {
		if !plan.Place("ring", member(n)) {
			return nil // nothing is launched: the demand still stands
		}
	}
	_, err := plan.Launch(cx)
	return err
}

func member(n int) mezzo.Task {
	task := mezzo.ProcessTask(fmt.Sprintf("ring-%d", n), "worker")
	task.Resources = mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB}
	task.Ports = []mezzo.Port{{Name: "http"}} // it sees PORT_HTTP
	return task
}

// A gang is offered whole or not at all.
func ExampleDemand() {
	start := func(cx *mezzo.Cx, _ mezzo.Setup) (*ring, error) {
		demand := mezzo.DemandFor("ring", member(0), 16)
		demand.Together = true
		demand.Prefer = mezzo.MostFree
		demand.Conditions = []mezzo.Condition{{Attribute: "disk", Test: mezzo.Equals, Value: "ssd"}}
		return &ring{}, cx.Want(demand)
	}
	mezzo.Export(start) // in an init function
}

// A task with data: a reservation, a volume on it, and a task that mounts it, in one turn.
func ExampleCx_Reserve() {
	launch := func(cx *mezzo.Cx, offer mezzo.Offer) error {
		amount := mezzo.Resources{CPUMilli: 500, MemoryBytes: mezzo.GiB, DiskBytes: mezzo.GiB}
		reserved, err := cx.Reserve(offer.ID, amount, mezzo.Labels{"of": "db"}, time.Time{})
		if err != nil {
			return err
		}
		if err := cx.CreateVolume(reserved.Reservation, "data", mezzo.GiB); err != nil {
			return err
		}
		task := mezzo.ProcessTask("db-1", "database")
		task.Mounts = []mezzo.Mount{{Volume: "data", Path: "db"}} // it sees ./db
		_, err = cx.Launch(task.On(reserved.Offer, "db"))
		return err
	}
	_ = launch
}

// What the master refuses is an error with a kind.
func ExampleRefusal() {
	err := mezzo.Refuse(mezzo.ErrLimit, "tasks-max: at most %d", 100_000)
	var refusal *mezzo.Refusal
	if errors.As(err, &refusal) {
		fmt.Println(refusal.Message)
	}
	fmt.Println(errors.Is(err, mezzo.ErrLimit), errors.Is(err, mezzo.ErrInvalid))
	// Output:
	// tasks-max: at most 100000
	// true false
}

func ExampleHoldAll() {
	agent := mezzo.Agent{Attributes: []mezzo.Attribute{
		{Name: "disk", Value: mezzo.Text("ssd")},
		{Name: "cores", Value: mezzo.Milli(8000)},
	}}
	fmt.Println(mezzo.HoldAll([]mezzo.Condition{
		{Attribute: "disk", Test: mezzo.Matches, Value: "ssd|nvme"},
		{Attribute: "cores", Test: mezzo.AtLeast, Value: "7.5"},
	}, agent))
	// Output: true
}
