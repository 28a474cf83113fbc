package mezzotest

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	mezzo "mezzo.dev/go"
)

const (
	noFault             = -1
	demandReservations  = 1_000
	keyBytesMax         = 512
	timerNameBytesMax   = 128
	nameRule            = "1 to 128 of a-z A-Z 0-9 . _ -, the first a letter or a digit"
	nameBytesMax        = 128
	nameOtherCharacters = "._-"
)

// errInjected is the fault that a test asked for.
var errInjected = errors.New("the fault that the test asked for")

// turn is the master for one turn: calls are checked at once, and change a copy of the world.
type turn struct {
	before *world
	world  *world
	limits Limits
	setup  mezzo.Setup
	log    *[]string
	told   told
	// What is left of the turn's offers.
	left map[mezzo.OfferID]*mezzo.Offer
	// Whose ports tasks take that are launched on a reservation of this turn.
	portsOf map[mezzo.OfferID]mezzo.OfferID
	// Placements by demand, and in all.
	served   map[string]uint32
	launches int
	kills    []string
	revive   bool
	calls    int
	bytes    int
	faultAt  int
}

func newTurn(
	w *world, limits Limits, setup mezzo.Setup, told told, log *[]string, faultAt int,
) *turn {
	t := &turn{
		before:  w,
		world:   w.copy(),
		limits:  limits,
		setup:   setup,
		log:     log,
		left:    map[mezzo.OfferID]*mezzo.Offer{},
		portsOf: map[mezzo.OfferID]mezzo.OfferID{},
		served:  map[string]uint32{},
		faultAt: faultAt,
		told:    told,
	}
	for _, offer := range told.offers {
		t.left[offer.ID] = &offer
	}
	for _, name := range told.timers {
		delete(t.world.timers, name) // one that the turn sets again is another one
	}
	return t
}

// guard runs a turn and says what its fault was.
func (t *turn) guard(run func() error) (fault error) {
	defer func() {
		switch value := recover(); {
		case value == nil:
		case value == any(errInjected):
			fault = errInjected
		default:
			fault = fmt.Errorf("panic: %v", value)
		}
	}()
	if err := run(); err != nil {
		return err
	}
	if t.faultAt != noFault {
		return errInjected
	}
	if t.bytes > t.limits.TurnBytes {
		return limit("boundary-bytes-max", t.limits.TurnBytes)
	}
	return nil
}

// call counts a call, and the bytes that go with it; here a fault that was asked for strikes.
func (t *turn) call(bytes int) {
	if t.calls == t.faultAt {
		panic(errInjected)
	}
	t.calls++
	t.bytes += bytes
}

// commit finishes the turn's copy of the world.
func (t *turn) commit() {
	w := t.world
	w.handled(t.told)
	for _, offer := range t.refused(t.told.offers) {
		t.see(offer)
	}
	w.demands = slices.DeleteFunc(w.demands, func(demand mezzo.Demand) bool { return demand.Count == 0 })
	if slices.ContainsFunc(w.demands, t.asksAnew) {
		w.clearSeen()
	}
	w.finishReservations()
	for _, id := range t.kills {
		if task := w.tasks[id]; task != nil && !task.Status.State.Final() {
			task.killed = true
			w.killed = append(w.killed, id)
		}
	}
	if t.revive && !w.lastRevive.Add(time.Second).After(w.now) {
		w.lastRevive = w.now
		w.clearSeen()
	}
}

// see notes that an offer was refused as it is.
func (t *turn) see(offer mezzo.Offer) {
	if offer.Reservation == 0 {
		if agent := t.world.agents[offer.Agent]; agent != nil {
			agent.seen = true
		}
		return
	}
	known, before := t.world.reservations[offer.Reservation], t.before.reservations[offer.Reservation]
	// Another volume is something new to see.
	if known != nil && len(known.view.Volumes) <= len(before.view.Volumes) {
		known.seen = true
	}
}

// asksAnew says whether a demand wants what was not wanted before: another shape, or more of it.
func (t *turn) asksAnew(demand mezzo.Demand) bool {
	for _, old := range t.before.demands {
		if old.Name == demand.Name {
			return demand.Count > old.Count || shape(demand) != shape(old)
		}
	}
	return true
}

// shape is all of a demand but its count, as something that can be compared.
func shape(demand mezzo.Demand) string {
	demand.Count = 0
	return fmt.Sprintf("%+v", demand)
}

func (t *turn) Want(demands []mezzo.Demand) error {
	t.call(0)
	if len(demands) > t.limits.Demands {
		return limit("demands-max", t.limits.Demands)
	}
	names := map[string]bool{}
	for _, demand := range demands {
		rule := ""
		switch {
		case !isName(demand.Name):
			rule = "no valid name"
		case names[demand.Name]:
			rule = "the name is in the list twice"
		case demand.Each.IsZero() && len(demand.FixedPorts) == 0:
			rule = "`each` asks for nothing"
		case len(demand.Reservations) > demandReservations:
			rule = "more than 1,000 reservations"
		case demand.Together && len(demand.Reservations) > 0:
			rule = "what is wanted `together` cannot be served from reservations"
		}
		for _, condition := range demand.Conditions {
			if !condition.Valid() {
				rule = "the condition on " + condition.Attribute + " cannot be read"
			}
		}
		if rule != "" {
			return invalid("demand %s: %s", demand.Name, rule)
		}
		names[demand.Name] = true
	}
	t.world.demands = slices.Clone(demands)
	return nil
}

func (t *turn) Revive() {
	t.call(0)
	t.revive = true
}

func (t *turn) Kill(task string, _ *time.Duration) error {
	t.call(0)
	if t.world.tasks[task] == nil {
		return unknown("task %s: no such task", task)
	}
	t.kills = append(t.kills, task)
	return nil
}

func (t *turn) Tasks(after string, limit uint32) []mezzo.TaskStatus {
	t.call(0)
	return page(t.world.tasks, after, limit, func(task *Task) mezzo.TaskStatus { return task.Status })
}

func (t *turn) FindTask(id string) (mezzo.TaskStatus, bool) {
	t.call(0)
	if task := t.world.tasks[id]; task != nil {
		return task.Status, true
	}
	return mezzo.TaskStatus{}, false
}

func (t *turn) Agents(after mezzo.AgentID, limit uint32) []mezzo.Agent {
	t.call(0)
	return page(t.world.agents, after, limit, func(agent *agent) mezzo.Agent { return agent.info })
}

func (t *turn) FindAgent(id mezzo.AgentID) (mezzo.Agent, bool) {
	t.call(0)
	if agent := t.world.agents[id]; agent != nil {
		return agent.info, true
	}
	return mezzo.Agent{}, false
}

func (t *turn) StateGet(key string) ([]byte, bool) {
	t.call(0)
	value, there := t.world.state[key]
	return slices.Clone(value), there
}

func (t *turn) StateSet(key string, value []byte) error {
	t.call(len(key) + len(value))
	if len(key) == 0 || len(key) > keyBytesMax {
		return fmt.Errorf("a key has 1 to %d bytes, this one %d", keyBytesMax, len(key))
	}
	if len(value) > t.limits.ValueBytes {
		return fmt.Errorf("value-bytes-max: at most %d bytes, not %d", t.limits.ValueBytes, len(value))
	}
	bytes := t.world.stateBytes + len(key) + len(value)
	if old, there := t.world.state[key]; there {
		bytes -= len(key) + len(old)
	}
	if bytes > t.limits.StateBytes {
		return fmt.Errorf("state-bytes-max: at most %d bytes, not %d", t.limits.StateBytes, bytes)
	}
	t.world.setState(key, slices.Clone(value))
	return nil
}

func (t *turn) StateDelete(key string) {
	t.call(0)
	t.world.deleteState(key)
}

func (t *turn) StateScan(prefix, after string, limit uint32) []mezzo.Row {
	t.call(0)
	var rows []mezzo.Row
	for _, key := range slices.Sorted(maps.Keys(t.world.state)) {
		if strings.HasPrefix(key, prefix) && key > after && len(rows) < int(min(limit, pageMax)) {
			rows = append(rows, mezzo.Row{Key: key, Value: slices.Clone(t.world.state[key])})
		}
	}
	return rows
}

func (t *turn) SetTimer(name string, after time.Duration) error {
	t.call(0)
	if len(name) == 0 || len(name) > timerNameBytesMax {
		return fmt.Errorf("a timer's name has 1 to %d bytes, this one %d", timerNameBytesMax, len(name))
	}
	if _, there := t.world.timers[name]; !there && len(t.world.timers) >= t.limits.Timers {
		return fmt.Errorf("timers-max: at most %d timers", t.limits.Timers)
	}
	t.world.timers[name] = t.world.now.Add(max(after, 0))
	return nil
}

func (t *turn) CancelTimer(name string) {
	t.call(0)
	delete(t.world.timers, name)
}

// Log is not part of the turn: lines stay.
func (t *turn) Log(_ slog.Level, message string) { *t.log = append(*t.log, message) }

func (t *turn) StreamWrite(id mezzo.StreamID, chunk []byte) bool {
	t.call(len(chunk))
	stream := t.world.streams[id]
	if stream == nil || !stream.open {
		return false
	}
	stream.body = append(stream.body, chunk...)
	return true
}

func (t *turn) StreamClose(id mezzo.StreamID) {
	t.call(0)
	if stream := t.world.streams[id]; stream != nil {
		stream.open = false
	}
}

// page is what comes after a key, in the order of the keys.
func page[K cmp.Ordered, V, T any](all map[K]V, after K, limit uint32, view func(V) T) []T {
	var items []T
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key > after && len(items) < int(min(limit, pageMax)) {
			items = append(items, view(all[key]))
		}
	}
	return items
}

func unknown(format string, arguments ...any) error {
	return mezzo.Refuse(mezzo.ErrUnknown, format, arguments...)
}

func invalid(format string, arguments ...any) error {
	return mezzo.Refuse(mezzo.ErrInvalid, format, arguments...)
}

func insufficient(format string, arguments ...any) error {
	return mezzo.Refuse(mezzo.ErrInsufficient, format, arguments...)
}

func limit(name string, most int) error {
	return mezzo.Refuse(mezzo.ErrLimit, "%s: at most %d", name, most)
}

// isName says whether a text may name a task, a demand, a group or a volume.
func isName(text string) bool {
	alphanumeric := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	if len(text) == 0 || len(text) > nameBytesMax || !alphanumeric(text[0]) {
		return false
	}
	for i := range len(text) {
		if !alphanumeric(text[i]) && !strings.Contains(nameOtherCharacters, text[i:i+1]) {
			return false
		}
	}
	return true
}
