package mezzo

import (
	"iter"
	"log/slog"
	"time"
)

// How many entries one page has at most.
const pageMax = 1000

// A Cx is the handle on the turn that every method of a framework gets. What is asked for through it is checked at
// once, and becomes real when the turn ends well, or never. It is of no use after its turn.
type Cx struct {
	host    Host
	now     time.Time
	journal *journal
	log     *slog.Logger
}

// Now is the turn's instant; it does not move within the turn.
func (cx *Cx) Now() time.Time { return cx.now }

// Log is a logger onto the framework's log, which mezzo framework logs shows. Lines stay even when the turn is undone.
// In a component it is slog's default, too.
func (cx *Cx) Log() *slog.Logger {
	if cx.log == nil {
		cx.log = slog.New(NewLogHandler(cx.host))
	}
	return cx.log
}

// Want replaces the list of what is wanted. It is durable: it outlives instance and master. Placements made before it
// in the turn do not count against the new list, later ones do.
func (cx *Cx) Want(demands ...Demand) error { return cx.host.Want(demands) }

// Revive asks to see again what was offered and left; at most once a second, more often does nothing.
func (cx *Cx) Revive() { cx.host.Revive() }

// Launch launches all of the placements, on however many agents, or none. One call with many is far cheaper than many
// calls.
func (cx *Cx) Launch(placements ...Placement) ([]Launched, error) { return cx.host.Launch(placements) }

// LaunchGroup is Launch for tasks that share one agent and one fate: when one of them fails, is killed or is lost, the
// others are killed with the reason group.
func (cx *Cx) LaunchGroup(group string, placements ...Placement) ([]Launched, error) {
	return cx.host.LaunchGroup(group, placements)
}

// Kill stops a task, with the grace that it was launched with. Does nothing to one that has ended.
func (cx *Cx) Kill(task string) error { return cx.host.Kill(task, nil) }

// KillWithin stops a task; repeatable with a shorter grace.
func (cx *Cx) KillWithin(task string, grace time.Duration) error { return cx.host.Kill(task, &grace) }

// Reserve keeps a part of an offer for the framework's role until [Cx.Unreserve], or until the instant given, if it is
// one, when nothing uses it then. The amount has no ports. From the offer of a reservation it makes a smaller one
// within it. It belongs to the role, and outlives the framework.
func (cx *Cx) Reserve(offer OfferID, amount Resources, labels Labels, until time.Time) (Reserved, error) {
	return cx.host.Reserve(offer, amount, labels, until)
}

// Unreserve gives a reservation of the framework's role back: it is gone as soon as nothing uses it. Refused while a
// task, a volume or a smaller reservation uses it.
func (cx *Cx) Unreserve(reservation ReservationID) error { return cx.host.Unreserve(reservation) }

// CreateVolume makes an empty volume of so much of the disk of a reservation that is offered in this turn; tasks of
// this turn may mount it.
func (cx *Cx) CreateVolume(reservation ReservationID, name string, sizeBytes uint64) error {
	return cx.host.CreateVolume(reservation, name, sizeBytes)
}

// DestroyVolume destroys a volume and its data. Refused while a task uses it.
func (cx *Cx) DestroyVolume(reservation ReservationID, name string) error {
	return cx.host.DestroyVolume(reservation, name)
}

// Reservations are those of the framework's role and of the roles above it, by ID, with what the turn has done.
func (cx *Cx) Reservations() iter.Seq[Reservation] {
	return pages(cx.host.Reservations, func(r Reservation) ReservationID { return r.ID })
}

// FindReservation is one of them.
func (cx *Cx) FindReservation(id ReservationID) (Reservation, bool) {
	if id > 0 {
		for _, reservation := range cx.host.Reservations(id-1, 1) {
			return reservation, reservation.ID == id
		}
	}
	return Reservation{}, false
}

// Tasks is the master's own record of this framework's tasks, by ID, as the turn began, with what the turn has done:
// reconciliation is reading it. An ended task stays until its final status has been handled. Each page of 1,000 counts
// towards the turn's bytes.
func (cx *Cx) Tasks() iter.Seq[TaskStatus] {
	return pages(cx.host.Tasks, func(s TaskStatus) string { return s.Task })
}

// FindTask is one task of the record.
func (cx *Cx) FindTask(task string) (TaskStatus, bool) { return cx.host.FindTask(task) }

// Agents are all that the framework has been told of, by ID.
func (cx *Cx) Agents() iter.Seq[Agent] {
	return pages(cx.host.Agents, func(a Agent) AgentID { return a.ID })
}

// FindAgent is one of them.
func (cx *Cx) FindAgent(agent AgentID) (Agent, bool) { return cx.host.FindAgent(agent) }

// State is the raw durable value of a key. [Value] and [Table] are typed and cached.
func (cx *Cx) State(key string) ([]byte, bool) { return cx.host.StateGet(key) }

// SetState sets a raw value. It fails when the value is too large or the framework's quota is reached; the key keeps
// its value then. A key has 1 to 512 bytes.
func (cx *Cx) SetState(key string, value []byte) error { return cx.host.StateSet(key, value) }

// DeleteState removes a key, if it is there.
func (cx *Cx) DeleteState(key string) { cx.host.StateDelete(key) }

// ScanState are all keys that begin with prefix, in order, with their values.
func (cx *Cx) ScanState(prefix string) iter.Seq2[string, []byte] {
	fetch := func(after string, limit uint32) []Row { return cx.host.StateScan(prefix, after, limit) }
	return func(yield func(string, []byte) bool) {
		for row := range pages(fetch, func(row Row) string { return row.Key }) {
			if !yield(row.Key, row.Value) {
				return
			}
		}
	}
}

// SetTimer sets a durable wake-up, not before after from now; one of the same name is replaced. It fails when there are
// too many, or the name has not 1 to 128 bytes.
func (cx *Cx) SetTimer(name string, after time.Duration) error { return cx.host.SetTimer(name, after) }

// CancelTimer removes a wake-up, if it is there.
func (cx *Cx) CancelTimer(name string) { cx.host.CancelTimer(name) }

// StreamWrite sends a piece of a response stream once the turn has committed; the package web begins them. False when
// the client had gone or the stream had ended: nothing was sent.
func (cx *Cx) StreamWrite(stream StreamID, chunk []byte) bool {
	return cx.host.StreamWrite(stream, chunk)
}

// StreamClose ends a response stream once the turn has committed.
func (cx *Cx) StreamClose(stream StreamID) { cx.host.StreamClose(stream) }

// pages reads on, page after page, until one comes back empty: pages may be cut short by bytes as well as by count.
func pages[K, T any](fetch func(after K, limit uint32) []T, key func(T) K) iter.Seq[T] {
	return func(yield func(T) bool) {
		var after K
		for {
			page := fetch(after, pageMax)
			for _, item := range page {
				if !yield(item) {
					return
				}
				after = key(item)
			}
			if len(page) == 0 {
				return
			}
		}
	}
}
