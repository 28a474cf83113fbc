package mezzotest

import (
	"maps"
	"slices"
	"time"

	mezzo "mezzo.dev/go"
)

// A Task is one task of the framework, as the master and its agent know it.
type Task struct {
	// As launched.
	mezzo.Task
	// What the framework is told.
	Status mezzo.TaskStatus
	// The reservation that it runs on, or 0.
	Reservation mezzo.ReservationID

	runningSince time.Time
	killed       bool
}

type agent struct {
	info      mezzo.Agent
	free      mezzo.Resources
	fixedUsed map[uint16]bool
	// The framework knows it as it is.
	told bool
	// It was offered, and nothing improved since.
	seen bool
	// It does not answer: nothing of it changes.
	silent bool
}

type stream struct {
	body []byte
	open bool
}

// told is what one turn was told, to be taken as handled once it has committed.
type told struct {
	agents   []mezzo.AgentID
	gone     []mezzo.AgentID
	statuses []mezzo.TaskStatus
	timers   []string
	streams  []mezzo.StreamID
	offers   []mezzo.Offer
	options  bool
}

// world is all that is durable. A turn works on a copy of it, which becomes the cluster's when the turn commits.
type world struct {
	now          time.Time
	agents       map[mezzo.AgentID]*agent
	gone         []mezzo.AgentID
	reservations map[mezzo.ReservationID]*reservation
	tasks        map[string]*Task
	// Tasks with a status that the framework has not handled.
	unhandled map[string]bool
	// Every launch that was ever committed.
	history     []mezzo.Task
	killed      []string
	demands     []mezzo.Demand
	state       map[string][]byte
	stateBytes  int
	timers      map[string]time.Time
	streams     map[mezzo.StreamID]*stream
	streamsGone []mezzo.StreamID
	lastRevive  time.Time
	lastID      uint64
	lastRun     mezzo.RunID
}

func newWorld() *world {
	return &world{
		now:          time.UnixMilli(1_700_000_000_000),
		agents:       map[mezzo.AgentID]*agent{},
		reservations: map[mezzo.ReservationID]*reservation{},
		tasks:        map[string]*Task{},
		unhandled:    map[string]bool{},
		state:        map[string][]byte{},
		timers:       map[string]time.Time{},
		streams:      map[mezzo.StreamID]*stream{},
	}
}

// copy shares nothing that a turn changes.
func (w *world) copy() *world {
	c := *w
	c.agents = deep(w.agents, func(a agent) agent { a.fixedUsed = maps.Clone(a.fixedUsed); return a })
	c.gone = slices.Clone(w.gone)
	c.reservations = deep(w.reservations, reservation.copy)
	c.tasks = deep(w.tasks, func(t Task) Task { return t })
	c.unhandled = maps.Clone(w.unhandled)
	c.history = slices.Clip(w.history)
	c.killed = slices.Clone(w.killed)
	c.demands = slices.Clone(w.demands)
	c.state = maps.Clone(w.state)
	c.timers = maps.Clone(w.timers)
	c.streams = deep(w.streams, func(s stream) stream { s.body = slices.Clip(s.body); return s })
	c.streamsGone = slices.Clone(w.streamsGone)
	return &c
}

func deep[K comparable, V any](all map[K]*V, each func(V) V) map[K]*V {
	copies := make(map[K]*V, len(all))
	for key, value := range all {
		copied := each(*value)
		copies[key] = &copied
	}
	return copies
}

func (w *world) freshID() uint64 {
	w.lastID++
	return w.lastID
}

// newInstance: a new instance is told of every agent and may see every offer.
func (w *world) newInstance() {
	for _, agent := range w.agents {
		agent.told = false
	}
	w.clearSeen()
	w.gone, w.streamsGone = nil, nil
}

func (w *world) clearSeen() {
	for _, agent := range w.agents {
		agent.seen = false
	}
	for _, known := range w.reservations {
		known.seen = false
	}
}

func (w *world) endStreams() {
	for _, stream := range w.streams {
		stream.open = false
	}
}

func (w *world) setState(key string, value []byte) {
	w.deleteState(key)
	w.state[key] = value
	w.stateBytes += len(key) + len(value)
}

func (w *world) deleteState(key string) {
	if old, there := w.state[key]; there {
		w.stateBytes -= len(key) + len(old)
		delete(w.state, key)
	}
}

// gather is everything that is waiting, in the order of the contract.
func (w *world) gather(limits Limits, newOptions bool, options string) (events []mezzo.Event, told told) {
	var agents []mezzo.Agent
	for _, id := range slices.Sorted(maps.Keys(w.agents)) {
		if agent := w.agents[id]; !agent.told {
			agents = append(agents, agent.info)
			told.agents = append(told.agents, id)
		}
	}
	told.gone = slices.Clone(w.gone)
	for _, id := range slices.Sorted(maps.Keys(w.unhandled)) {
		if len(told.statuses) < limits.StatusesPerTurn {
			told.statuses = append(told.statuses, w.tasks[id].Status)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.timers)) {
		if !w.timers[name].After(w.now) {
			told.timers = append(told.timers, name)
		}
	}
	told.streams = slices.Clone(w.streamsGone)
	told.options = newOptions
	told.offers = w.lease(limits.OffersPerTurn)

	if len(agents) > 0 {
		events = append(events, mezzo.AgentsEvent(agents))
	}
	if len(told.gone) > 0 {
		events = append(events, mezzo.AgentsGoneEvent(told.gone))
	}
	if len(told.statuses) > 0 {
		events = append(events, mezzo.StatusesEvent(told.statuses))
	}
	for _, name := range told.timers {
		events = append(events, mezzo.TimerEvent(name))
	}
	if newOptions {
		events = append(events, mezzo.OptionsEvent(options))
	}
	if len(told.streams) > 0 {
		events = append(events, mezzo.StreamsClosedEvent(told.streams))
	}
	if len(told.offers) > 0 {
		events = append(events, mezzo.OffersEvent(slices.Clone(told.offers)))
	}
	return events, told
}

// handled: what a committed turn was told need not be told again.
func (w *world) handled(told told) {
	for _, id := range told.agents {
		if agent := w.agents[id]; agent != nil {
			agent.told = true
		}
	}
	w.gone = slices.DeleteFunc(w.gone, func(id mezzo.AgentID) bool { return slices.Contains(told.gone, id) })
	for _, status := range told.statuses {
		delete(w.unhandled, status.Task)
		if status.State.Final() {
			delete(w.tasks, status.Task)
		}
	}
	w.streamsGone = slices.DeleteFunc(w.streamsGone, func(id mezzo.StreamID) bool {
		return slices.Contains(told.streams, id)
	})
}
