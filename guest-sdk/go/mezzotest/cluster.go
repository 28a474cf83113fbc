package mezzotest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	mezzo "mezzo.dev/go"
)

const (
	// Turns that one Settle runs at most: a framework that never comes to rest fails its test.
	settleTurnsMax = 100_000
	// Faults in a row that are a bug of the framework rather than of the weather.
	faultsInARowMax = 5
)

// A Cluster is one framework and all that it can see of a cluster.
type Cluster[F mezzo.Framework] struct {
	// Limits may be changed between turns.
	Limits Limits

	t           testing.TB
	start       mezzo.Start[F]
	setup       mezzo.Setup
	world       *world
	log         *[]string
	instance    *mezzo.Instance
	newOptions  bool
	faultAt     int
	faults      []error
	faultsInRow int
}

// New is a cluster without agents, and a framework without options that has not started yet: Settle starts it.
func New[F mezzo.Framework](t testing.TB, start mezzo.Start[F]) *Cluster[F] {
	return NewWithOptions(t, start, "{}")
}

// NewWithOptions is the same with options, a JSON object.
func NewWithOptions[F mezzo.Framework](t testing.TB, start mezzo.Start[F], options string) *Cluster[F] {
	return &Cluster[F]{
		Limits:  defaultLimits(),
		t:       t,
		start:   start,
		setup:   mezzo.Setup{Name: "framework", Role: "test", Options: options},
		world:   newWorld(),
		log:     &[]string{},
		faultAt: noFault,
	}
}

// Start starts the framework, once; the error is what its start returned.
func (c *Cluster[F]) Start() error {
	if c.instance != nil {
		return nil
	}
	refusal, _ := c.startInstance()
	return refusal
}

// Settle runs turns until nothing is waiting for the framework. It starts it if need be.
func (c *Cluster[F]) Settle() {
	c.t.Helper()
	for range settleTurnsMax {
		if !c.Turn() {
			return
		}
	}
	c.t.Fatalf("after %d turns the framework still has not come to rest", settleTurnsMax)
}

// Turn runs one turn, if something is waiting, and says whether it did.
func (c *Cluster[F]) Turn() bool {
	c.t.Helper()
	c.world.agentsAct()
	if c.instance == nil {
		if refusal, _ := c.startInstance(); refusal != nil {
			c.t.Fatalf("the framework refuses to start: %v", refusal)
		}
		return true
	}
	events, told := c.world.gather(c.Limits, c.newOptions, c.setup.Options)
	if len(events) == 0 {
		return false
	}
	// A fault is noted down; the next turn starts a new instance, which is told the same again.
	_ = c.turn(told, func(instance *mezzo.Instance, host mezzo.Host) error {
		return instance.Handle(host, c.world.now, events)
	})
	return true
}

// Advance lets time pass. Timers that come due fire in the next turn; tasks that outlive their limit are killed.
func (c *Cluster[F]) Advance(d time.Duration) { c.world.advance(d) }

// Now is the virtual clock.
func (c *Cluster[F]) Now() time.Time { return c.world.now }

// SetOptions changes the options; the framework hears of it in its next turn.
func (c *Cluster[F]) SetOptions(options string) {
	c.setup.Options, c.newOptions = options, true
}

// Restart drops the instance between two turns, as a restart of the master does: memory and streams are gone, all that
// was committed stays.
func (c *Cluster[F]) Restart() {
	c.instance = nil
	c.world.endStreams()
}

// FaultAtCall makes the next turn fail at the framework's n-th call (from 0), or at its end if it makes fewer calls: the
// turn is undone and the instance dropped.
func (c *Cluster[F]) FaultAtCall(n int) { c.faultAt = n }

// Faults are what has gone wrong so far: errors, panics, overruns and faults that the test asked for.
func (c *Cluster[F]) Faults() []error { return c.faults }

// Framework is the framework itself; false if no instance lives.
func (c *Cluster[F]) Framework() (framework F, lives bool) {
	if c.instance != nil {
		framework, lives = c.instance.Framework().(F)
	}
	return framework, lives
}

// Demands are what it wants, with the counts as they are now.
func (c *Cluster[F]) Demands() []mezzo.Demand { return slices.Clone(c.world.demands) }

// Log is what it has logged.
func (c *Cluster[F]) Log() []string { return *c.log }

// State is its durable state.
func (c *Cluster[F]) State() map[string][]byte { return maps.Clone(c.world.state) }

// DamageState overwrites a key behind the framework's back, as a bug or a bad disk would.
func (c *Cluster[F]) DamageState(key string, value []byte) { c.world.setState(key, value) }

// startInstance runs the first turn of an instance: what start returned, or which fault there was.
func (c *Cluster[F]) startInstance() (refusal, fault error) {
	c.world.newInstance()
	c.newOptions = false
	turn := c.newTurn(told{})
	fault = turn.guard(func() error {
		instance, err := mezzo.StartInstance(turn, c.world.now, c.setup, c.start)
		c.instance, refusal = instance, err
		return nil
	})
	switch {
	case fault != nil:
		c.noteFault(fault)
	case refusal == nil:
		c.commit(turn)
	}
	return refusal, fault
}

// turn runs a turn of the live instance and commits it, or undoes it and drops the instance.
func (c *Cluster[F]) turn(told told, run func(*mezzo.Instance, mezzo.Host) error) error {
	turn := c.newTurn(told)
	fault := turn.guard(func() error { return run(c.instance, turn) })
	if fault != nil {
		c.noteFault(fault)
		return fault
	}
	c.newOptions = c.newOptions && !told.options
	c.commit(turn)
	return nil
}

func (c *Cluster[F]) newTurn(told told) *turn {
	turn := newTurn(c.world, c.Limits, c.setup, told, c.log, c.faultAt)
	c.faultAt = noFault
	return turn
}

// commit makes what a clean turn has left the cluster's.
func (c *Cluster[F]) commit(turn *turn) {
	c.faultsInRow = 0
	turn.commit()
	c.world = turn.world
}

func (c *Cluster[F]) noteFault(fault error) {
	c.t.Helper()
	c.faults = append(c.faults, fault)
	c.Restart()
	c.faultsInRow++
	if c.faultsInRow == faultsInARowMax {
		c.t.Fatalf("%d faults in a row; the last: %v", faultsInARowMax, fault)
	}
}

// mustTask finds a task, or fails the test.
func (c *Cluster[F]) mustTask(id string) *Task {
	c.t.Helper()
	task, there := c.world.tasks[id]
	if !there {
		c.t.Fatalf("there is no task %q; there are %s", id, fmt.Sprint(slices.Sorted(maps.Keys(c.world.tasks))))
	}
	return task
}
