package mezzotest

import (
	"maps"
	"slices"
	"strings"
	"time"

	mezzo "mezzo.dev/go"
)

const (
	reservesPerTurnMax = 1_000
	volumesMax         = 100
	labelsBytesMax     = 16 << 10
	numberMax          = 1<<53 - 1
	pageMax            = 1_000
	operator           = "operator"
)

type reservation struct {
	// As a framework sees it, at any time.
	view mezzo.Reservation
	// The larger one that it is a part of, or 0.
	within mezzo.ReservationID
	// Smaller ones within it.
	parts int
	// Tasks that have not ended.
	users int
	// How many of them have each volume mounted.
	mounted map[string]int
	// It was offered and refused, and nothing improved since.
	seen bool
}

func (r reservation) copy() reservation {
	r.view.Volumes = slices.Clone(r.view.Volumes)
	r.mounted = maps.Clone(r.mounted)
	return r
}

func (r *reservation) unused() bool { return r.users == 0 && r.parts == 0 && len(r.view.Volumes) == 0 }

func (r *reservation) volume(name string) *mezzo.Volume {
	for i := range r.view.Volumes {
		if r.view.Volumes[i].Name == name {
			return &r.view.Volumes[i]
		}
	}
	return nil
}

// serves says whether a demand may be served from it, whatever is free of it.
func (r *reservation) serves(demand mezzo.Demand) bool {
	switch {
	case demand.Together || r.view.Ending:
		return false
	case len(demand.Reservations) == 0:
		return !strings.HasPrefix(r.view.MadeBy, "framework/")
	default:
		return slices.Contains(demand.Reservations, r.view.ID)
	}
}

// freeVolumes are those that a task could mount.
func (r *reservation) freeVolumes() []string {
	var names []string
	for _, volume := range r.view.Volumes {
		if !volume.Destroying && !volume.InUse {
			names = append(names, volume.Name)
		}
	}
	return names
}

// use counts a task that begins (1) or ends (-1) on it.
func (r *reservation) use(task mezzo.Task, n int) {
	r.users += n
	if n > 0 {
		r.view.Free = r.view.Free.Minus(withoutPorts(task.Resources))
	} else {
		r.view.Free = r.view.Free.Plus(withoutPorts(task.Resources))
		r.seen = false
	}
	for _, mount := range task.Mounts {
		r.mounted[mount.Volume] += n
	}
	for i := range r.view.Volumes {
		r.view.Volumes[i].InUse = r.mounted[r.view.Volumes[i].Name] > 0
	}
}

func withoutPorts(r mezzo.Resources) mezzo.Resources {
	r.Ports = 0
	return r
}

// Reserve: an operator reserves a part of an agent for the framework's role. It is offered to every demand that names
// no other.
func (c *Cluster[F]) Reserve(on mezzo.AgentID, amount mezzo.Resources) mezzo.ReservationID {
	c.t.Helper()
	agent := c.world.agents[on]
	if agent == nil || amount.Ports > 0 || !agent.free.Holds(amount) {
		c.t.Fatalf("agent %d: no such agent, too little free, or ports, which cannot be reserved", on)
	}
	agent.free = agent.free.Minus(amount)
	id := mezzo.ReservationID(c.world.freshID())
	c.world.reservations[id] = &reservation{
		view: mezzo.Reservation{
			ID: id, Agent: on, Role: c.setup.Role, MadeBy: operator, Amount: amount, Free: amount,
		},
		mounted: map[string]int{},
	}
	return id
}

// Reservations are all of them, by ID, as they are.
func (c *Cluster[F]) Reservations() []mezzo.Reservation {
	return c.world.listReservations(0, len(c.world.reservations))
}

func (w *world) listReservations(after mezzo.ReservationID, limit int) []mezzo.Reservation {
	var page []mezzo.Reservation
	for _, id := range slices.Sorted(maps.Keys(w.reservations)) {
		if id > after && len(page) < limit {
			page = append(page, w.reservations[id].copy().view)
		}
	}
	return page
}

// finishReservations: what was given back goes as soon as nothing uses it.
func (w *world) finishReservations() {
	w.removeReservations(func(r *reservation) bool { return r.view.Ending && r.unused() })
}

// reservationsDue: time has passed the end of those that end by themselves.
func (w *world) reservationsDue(before time.Time) {
	w.removeReservations(func(r *reservation) bool {
		until := r.view.Until
		return !until.IsZero() && before.Before(until) && !until.After(w.now) && r.unused()
	})
}

// removeReservations takes away those that are over; a larger one may be over once its parts are gone.
func (w *world) removeReservations(over func(*reservation) bool) {
	for again := true; again; {
		again = false
		for id, gone := range w.reservations {
			if !over(gone) {
				continue
			}
			delete(w.reservations, id)
			again = true
			if whole := w.reservations[gone.within]; whole != nil {
				whole.view.Free = whole.view.Free.Plus(gone.view.Amount)
				whole.parts--
				whole.seen = false
			} else if agent := w.agents[gone.view.Agent]; agent != nil {
				agent.free = agent.free.Plus(gone.view.Amount)
				agent.seen = false
			}
		}
	}
}

// destroyVolumes: agents that answer destroy what they were told to.
func (w *world) destroyVolumes() {
	for _, known := range w.reservations {
		agent := w.agents[known.view.Agent]
		if agent == nil || agent.silent {
			continue
		}
		known.view.Volumes = slices.DeleteFunc(known.view.Volumes, func(volume mezzo.Volume) bool {
			if volume.Destroying {
				known.view.Free.DiskBytes += volume.SizeBytes
				known.seen = false
			}
			return volume.Destroying
		})
	}
}

// The calls about reservations and volumes.

func (t *turn) Reserve(
	from mezzo.OfferID, amount mezzo.Resources, labels mezzo.Labels, until time.Time,
) (mezzo.Reserved, error) {
	bytes := pairsBytes(labels)
	t.call(bytes)
	made := 0
	for id := range t.world.reservations {
		if t.before.reservations[id] == nil {
			made++
		}
	}
	offer := t.left[from]
	switch {
	case amount.Ports > 0:
		return mezzo.Reserved{}, invalid("amount.ports: ports cannot be reserved")
	case amount.IsZero():
		return mezzo.Reserved{}, invalid("amount: it is nothing")
	case bytes > labelsBytesMax:
		return mezzo.Reserved{}, invalid("labels: at most %d bytes together", labelsBytesMax)
	case !until.IsZero() && !until.After(t.world.now):
		return mezzo.Reserved{}, invalid("until: it is over already")
	case made >= reservesPerTurnMax:
		return mezzo.Reserved{}, limit("reserves-per-turn-max", reservesPerTurnMax)
	case len(t.world.reservations) >= t.limits.Reservations:
		return mezzo.Reserved{}, limit("reservations-max", t.limits.Reservations)
	case offer == nil:
		return mezzo.Reserved{}, unknown("offer %d is not one of this turn", from)
	case !offer.Free.Holds(amount):
		return mezzo.Reserved{}, insufficient("amount: offer %d has too little left", from)
	}
	offer.Free = offer.Free.Minus(amount)
	reserved := mezzo.Reserved{
		Reservation: mezzo.ReservationID(t.world.freshID()),
		Offer:       mezzo.OfferID(t.world.freshID()),
	}
	t.left[reserved.Offer] = &mezzo.Offer{
		ID: reserved.Offer, Agent: offer.Agent, Free: amount, Reservation: reserved.Reservation,
	}
	t.portsOf[reserved.Offer] = t.whosePorts(from)
	if whole := t.world.reservations[offer.Reservation]; whole != nil {
		whole.view.Free = whole.view.Free.Minus(amount)
		whole.parts++
	} else {
		agent := t.world.agents[offer.Agent]
		agent.free = agent.free.Minus(amount)
	}
	t.world.reservations[reserved.Reservation] = &reservation{
		view: mezzo.Reservation{
			ID: reserved.Reservation, Agent: offer.Agent, Role: t.setup.Role, MadeBy: "framework/" + t.setup.Name,
			Amount: amount, Free: amount, Labels: maps.Clone(labels), Until: until,
		},
		within:  offer.Reservation,
		mounted: map[string]int{},
	}
	return reserved, nil
}

func (t *turn) Unreserve(id mezzo.ReservationID) error {
	t.call(0)
	known := t.world.reservations[id]
	if known == nil {
		return noReservation(id)
	}
	if !known.unused() {
		return invalid("reservation %d is in use by %d tasks, %d volumes and %d smaller reservations",
			id, known.users, len(known.view.Volumes), known.parts)
	}
	known.view.Ending = true
	for _, offer := range t.left {
		if offer.Reservation == id {
			offer.Free = mezzo.Resources{}
		}
	}
	return nil
}

func (t *turn) CreateVolume(id mezzo.ReservationID, name string, sizeBytes uint64) error {
	t.call(len(name))
	known := t.world.reservations[id]
	if known == nil {
		return noReservation(id)
	}
	var offer *mezzo.Offer
	for _, left := range t.left {
		if left.Reservation == id {
			offer = left
		}
	}
	switch {
	case offer == nil:
		return unknown("reservation %d is not offered in this turn", id)
	case !isName(name):
		return invalid("volume name: %s", nameRule)
	case sizeBytes < 1 || sizeBytes > numberMax:
		return invalid("size-bytes: from 1 to %d", uint64(numberMax))
	case known.volume(name) != nil:
		return invalid("volume %s: there is one of this name", name)
	case len(known.view.Volumes) >= volumesMax:
		return limit("volumes-max", volumesMax)
	case known.view.Free.DiskBytes < sizeBytes:
		return insufficient("volume %s: reservation %d has too little disk free", name, id)
	}
	known.view.Volumes = append(known.view.Volumes, mezzo.Volume{Name: name, SizeBytes: sizeBytes})
	slices.SortFunc(known.view.Volumes, func(a, b mezzo.Volume) int { return strings.Compare(a.Name, b.Name) })
	known.view.Free.DiskBytes -= sizeBytes
	known.seen = false
	offer.Free.DiskBytes -= min(offer.Free.DiskBytes, sizeBytes)
	offer.Volumes = append(offer.Volumes, name)
	return nil
}

func (t *turn) DestroyVolume(id mezzo.ReservationID, name string) error {
	t.call(len(name))
	known := t.world.reservations[id]
	if known == nil {
		return noReservation(id)
	}
	volume := known.volume(name)
	switch {
	case volume == nil:
		return noVolume(id, name)
	case volume.InUse:
		return invalid("volume %s of reservation %d is in use", name, id)
	}
	volume.Destroying = true
	return nil
}

func (t *turn) Reservations(after mezzo.ReservationID, limit uint32) []mezzo.Reservation {
	t.call(0)
	return t.world.listReservations(after, int(min(limit, pageMax)))
}

func noReservation(id mezzo.ReservationID) error {
	return unknown("reservation %d is none of the framework's role, nor of one above it", id)
}

func noVolume(id mezzo.ReservationID, name string) error {
	return unknown("volume %s: there is none of this name in reservation %d", name, id)
}
