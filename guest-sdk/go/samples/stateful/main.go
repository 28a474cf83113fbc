// Stateful keeps data: one task with a volume on a reservation, to which it comes back whenever it has ended, on the
// same machine. What is durable of it is the reservation itself, which it finds again by its label.
//
// Changing its options, {"command": ["sh", "-c", "…"]}, replaces the task in place: the old one is ended, and the new
// one has the same data, which it sees as ./data.
package main

import (
	"fmt"
	"slices"
	"time"

	mezzo "mezzo.dev/go"
)

const (
	// Names what it wants, and its volume.
	store = "store"
	// The label of its reservation; the value is the framework's name.
	keptBy = "kept-by"
	// Of the volume.
	dataBytes = 48 * mezzo.MiB
)

type options struct {
	Command []string `json:"command"`
}

type stateful struct {
	mezzo.Base
	name    string
	options options
	memory  *mezzo.Value[memory]
}

type memory struct {
	// How many tasks it has launched.
	Launched int `json:"launched"`
	// What the newest of them runs.
	Command []string `json:"command"`
}

func start(cx *mezzo.Cx, setup mezzo.Setup) (*stateful, error) {
	s := &stateful{name: setup.Name}
	var err error
	if s.memory, err = mezzo.LoadValue[memory](cx, "memory"); err != nil {
		return nil, err
	}
	if err := s.Options(cx, setup.Options); err != nil {
		return nil, err
	}
	if newest, there := cx.FindTask(s.newest()); !there || newest.State.Final() {
		return s, s.want(cx)
	}
	return s, nil
}

// Options also replaces a task that runs something else.
func (s *stateful) Options(cx *mezzo.Cx, text string) error {
	read := options{Command: []string{"sh", "-c", "date >> data/starts; exec sleep 3600"}}
	if err := mezzo.DecodeOptions(text, &read); err != nil {
		return err
	}
	s.options = read
	newest, there := cx.FindTask(s.newest())
	if !there || newest.State.Final() || slices.Equal(s.memory.Get().Command, read.Command) {
		return nil
	}
	cx.Log().Info(fmt.Sprintf("%s is replaced", newest.Task))
	return cx.Kill(newest.Task)
}

func (s *stateful) Statuses(cx *mezzo.Cx, statuses []mezzo.TaskStatus) error {
	ended := false
	for _, status := range statuses {
		cx.Log().Info(fmt.Sprintf("%s is %s", status.Task, status.State))
		ended = ended || status.State.Final()
	}
	if ended {
		return s.want(cx)
	}
	return nil
}

func (s *stateful) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	for _, offer := range offers {
		err := s.launch(cx, offer)
		if err == nil {
			return nil
		}
		cx.Log().Error("nothing was launched", "error", err)
	}
	return nil
}

func (s *stateful) newest() string { return fmt.Sprintf("%s-%d", store, s.memory.Get().Launched) }

func (s *stateful) task() mezzo.Task {
	task := mezzo.ProcessTask(s.newest(), s.options.Command...)
	task.Resources.DiskBytes = 16 * mezzo.MiB
	task.Mounts = []mezzo.Mount{{Volume: store, Path: "data"}}
	return task
}

// home is its reservation, as the master has it: whoever kept it, this instance or one long ago.
func (s *stateful) home(cx *mezzo.Cx) (mezzo.Reservation, bool) {
	for reservation := range cx.Reservations() {
		if !reservation.Ending && reservation.Labels[keptBy] == s.name {
			return reservation, true
		}
	}
	return mezzo.Reservation{}, false
}

// want asks to come back to its data, or for a place for it first.
func (s *stateful) want(cx *mezzo.Cx) error {
	demand := mezzo.DemandFor(store, s.task(), 1)
	if home, there := s.home(cx); there {
		demand.Reservations = []mezzo.ReservationID{home.ID}
	} else {
		demand.Each = s.amount()
	}
	return cx.Want(demand)
}

// amount is the task and its data.
func (s *stateful) amount() mezzo.Resources {
	return s.task().Resources.Plus(mezzo.Resources{DiskBytes: dataBytes})
}

func (s *stateful) launch(cx *mezzo.Cx, offer mezzo.Offer) error {
	on := offer.ID
	if _, there := s.home(cx); !there {
		labels := mezzo.Labels{keptBy: s.name}
		reserved, err := cx.Reserve(offer.ID, s.amount(), labels, time.Time{})
		if err != nil {
			return err
		}
		if err := cx.CreateVolume(reserved.Reservation, store, dataBytes); err != nil {
			return err
		}
		on = reserved.Offer
	}
	s.memory.Edit(func(m *memory) {
		m.Launched++
		m.Command = s.options.Command
	})
	_, err := cx.Launch(s.task().On(on, store))
	return err
}

func init() { mezzo.Export(start) }

func main() {}
