package mezzo

import (
	"log/slog"
	"time"
)

// A Host is what a turn can call: the master, or who plays it in tests. Frameworks use a [Cx].
type Host interface {
	Want(demands []Demand) error
	Revive()
	Launch(placements []Placement) ([]Launched, error)
	LaunchGroup(group string, placements []Placement) ([]Launched, error)
	// A nil grace is the one that the task was launched with.
	Kill(task string, grace *time.Duration) error
	Reserve(offer OfferID, amount Resources, labels Labels, until time.Time) (Reserved, error)
	Unreserve(reservation ReservationID) error
	CreateVolume(reservation ReservationID, name string, sizeBytes uint64) error
	DestroyVolume(reservation ReservationID, name string) error
	// Pages begin after an ID or a key; the zero value is before all of them.
	Reservations(after ReservationID, limit uint32) []Reservation
	Tasks(after string, limit uint32) []TaskStatus
	FindTask(task string) (TaskStatus, bool)
	Agents(after AgentID, limit uint32) []Agent
	FindAgent(agent AgentID) (Agent, bool)
	StateGet(key string) ([]byte, bool)
	StateSet(key string, value []byte) error
	StateDelete(key string)
	StateScan(prefix, after string, limit uint32) []Row
	SetTimer(name string, after time.Duration) error
	CancelTimer(name string)
	Log(level slog.Level, message string)
	StreamWrite(stream StreamID, chunk []byte) bool
	StreamClose(stream StreamID)
}

// A Row is a key of the durable state with its value.
type Row struct {
	Key   string
	Value []byte
}

// An Event is one thing that a turn tells a framework.
type Event interface {
	tell(framework Framework, cx *Cx) error
}

// The events, in the order in which a turn tells them.
type (
	AgentsEvent        []Agent
	AgentsGoneEvent    []AgentID
	StatusesEvent      []TaskStatus
	TimerEvent         string
	OptionsEvent       string
	StreamsClosedEvent []StreamID
	NoticeEvent        Notice
	OffersEvent        []Offer
)

func (e AgentsEvent) tell(f Framework, cx *Cx) error        { return f.Agents(cx, e) }
func (e AgentsGoneEvent) tell(f Framework, cx *Cx) error    { return f.AgentsGone(cx, e) }
func (e StatusesEvent) tell(f Framework, cx *Cx) error      { return f.Statuses(cx, e) }
func (e TimerEvent) tell(f Framework, cx *Cx) error         { return f.Timer(cx, string(e)) }
func (e OptionsEvent) tell(f Framework, cx *Cx) error       { return f.Options(cx, string(e)) }
func (e StreamsClosedEvent) tell(f Framework, cx *Cx) error { return f.StreamsClosed(cx, e) }
func (e NoticeEvent) tell(f Framework, cx *Cx) error        { return f.Notice(cx, Notice(e)) }
func (e OffersEvent) tell(f Framework, cx *Cx) error        { return f.Offers(cx, e) }

// An Instance is a live framework. Inside a component [Export] makes it, in tests the package mezzotest does.
type Instance struct {
	framework Framework
	journal   *journal
}

// StartInstance runs the first turn.
func StartInstance[F Framework](host Host, now time.Time, setup Setup, start Start[F]) (*Instance, error) {
	instance := &Instance{journal: &journal{}}
	err := instance.Turn(host, now, func(cx *Cx) error {
		framework, err := start(cx, setup)
		instance.framework = framework
		return err
	})
	if err != nil {
		return nil, err
	}
	return instance, nil
}

// Handle runs a turn of events.
func (i *Instance) Handle(host Host, now time.Time, events []Event) error {
	return i.Turn(host, now, func(cx *Cx) error {
		for _, event := range events {
			if err := event.tell(i.framework, cx); err != nil {
				return err
			}
		}
		return nil
	})
}

// Turn runs any turn: what do does, the end of the turn, and the writing of what has changed. After an error neither
// the turn nor the instance can be kept.
func (i *Instance) Turn(host Host, now time.Time, do func(cx *Cx) error) error {
	cx := &Cx{host: host, now: now, journal: i.journal}
	if err := do(cx); err != nil {
		return err
	}
	if err := i.framework.TurnEnd(cx); err != nil {
		return err
	}
	return i.journal.flush(host)
}

// Framework is the framework itself.
func (i *Instance) Framework() Framework { return i.framework }
