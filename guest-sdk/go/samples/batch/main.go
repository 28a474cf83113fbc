// Batch runs so many equal tasks to completion, and tries those that fail again.
//
// Its options are {"count": 3, "attempts": 3, "parallel": 10, "command": ["sh", "-c", "echo $INDEX"]}; each may be left
// out. A task knows its number as INDEX. One that fails is tried again after a second, then two, four …, until its
// attempts are used up; one that was killed or lost through no fault of its own is tried again at once, and that does
// not count.
package main

import (
	"fmt"
	"strconv"
	"time"

	mezzo "mezzo.dev/go"
)

const (
	// The name of what it wants, and the beginning of its tasks' names.
	demand = "batch"
	// The label that says which piece of work a task is.
	indexLabel = "index"
	// The first wait before a piece is tried again.
	retryAfter = time.Second
	// More than that is taken for a mistake.
	countMax = 10_000
)

type options struct {
	Count    int      `json:"count"`
	Attempts int      `json:"attempts"`
	Parallel int      `json:"parallel"`
	Command  []string `json:"command"`
}

// piece is one piece of the work, kept until the work is done.
type piece struct {
	State state `json:"state"`
	// How often it has failed.
	Failed int `json:"failed"`
	// How often it was launched: the last part of its task's name.
	Launched int `json:"launched"`
	// Not before.
	NotBefore time.Time `json:"notBefore,omitzero"`
}

type state string

const (
	waiting state = "waiting"
	active  state = "active"
	done    state = "done"
	failed  state = "failed"
)

type batch struct {
	mezzo.Base
	options options
	pieces  *mezzo.Table[uint64, piece]
	// It has said that all is over.
	said *mezzo.Value[bool]
}

func start(cx *mezzo.Cx, setup mezzo.Setup) (*batch, error) {
	b := &batch{options: options{
		Count: 3, Attempts: 3, Parallel: 10, Command: []string{"sh", "-c", "echo this is $INDEX"},
	}}
	if err := mezzo.DecodeOptions(setup.Options, &b.options); err != nil {
		return nil, err
	}
	if o := b.options; o.Count < 1 || o.Count > countMax || o.Attempts < 1 || o.Parallel < 1 {
		return nil, fmt.Errorf("options: count is 1 to %d, attempts and parallel at least 1", countMax)
	}
	var err error
	if b.said, err = mezzo.LoadValue[bool](cx, "said"); err != nil {
		return nil, err
	}
	if b.pieces, err = mezzo.LoadTable[uint64, piece](cx, "piece/"); err != nil {
		return nil, err
	}
	for index := b.pieces.Len(); index < b.options.Count; index++ {
		b.pieces.Set(uint64(index), piece{State: waiting})
	}
	return b, nil
}

func (b *batch) task(index uint64, p piece) mezzo.Task {
	task := mezzo.ProcessTask(fmt.Sprintf("%s-%d-%d", demand, index, p.Launched+1), b.options.Command...)
	task.Env = map[string]string{"INDEX": strconv.FormatUint(index, 10)}
	task.Labels = mezzo.Labels{indexLabel: strconv.FormatUint(index, 10)}
	return task
}

func (b *batch) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	plan := mezzo.NewPlan(offers)
	var placed []uint64
	room := b.options.Parallel - b.count(active)
	for index, p := range b.pieces.All() {
		if len(placed) == room {
			break
		}
		if !p.ready(cx.Now()) {
			continue
		}
		if !plan.Place(demand, b.task(index, p)) {
			break
		}
		placed = append(placed, index)
	}
	if _, err := plan.Launch(cx); err != nil {
		cx.Log().Error("nothing was launched", "error", err)
		return nil
	}
	for _, index := range placed {
		b.pieces.Edit(index, func(p *piece) {
			p.State = active
			p.Launched++
		})
	}
	return nil
}

func (b *batch) Statuses(cx *mezzo.Cx, statuses []mezzo.TaskStatus) error {
	for _, status := range statuses {
		if !status.State.Final() {
			continue
		}
		index, err := strconv.ParseUint(status.Labels[indexLabel], 10, 64)
		if err != nil {
			return fmt.Errorf("task %s has no number: %w", status.Task, err)
		}
		b.pieces.Edit(index, func(p *piece) { b.ended(cx, p, status) })
	}
	return nil
}

// ended says what becomes of a piece whose task has ended.
func (b *batch) ended(cx *mezzo.Cx, p *piece, status mezzo.TaskStatus) {
	switch status.State {
	case mezzo.Finished:
		p.State = done
	case mezzo.Failed:
		p.Failed++
		if p.Failed >= b.options.Attempts {
			p.State = failed
			break
		}
		p.State = waiting
		p.NotBefore = cx.Now().Add(retryAfter << (p.Failed - 1))
	default:
		p.State = waiting
	}
	cx.Log().Info(fmt.Sprintf("%s is %s: its piece is %s", status.Task, status.State, p.State))
}

func (p piece) ready(now time.Time) bool { return p.State == waiting && !p.NotBefore.After(now) }

func (b *batch) count(of state) (n int) {
	for _, p := range b.pieces.All() {
		if p.State == of {
			n++
		}
	}
	return n
}

// TurnEnd says anew what is wanted, and when to look again.
func (b *batch) TurnEnd(cx *mezzo.Cx) error {
	ready := 0
	var next time.Time
	for _, p := range b.pieces.All() {
		if p.ready(cx.Now()) {
			ready++
		} else if p.State == waiting && (next.IsZero() || p.NotBefore.Before(next)) {
			next = p.NotBefore
		}
	}
	if !next.IsZero() {
		if err := cx.SetTimer("retry", next.Sub(cx.Now())); err != nil {
			return err
		}
	}
	wanted := min(ready, b.options.Parallel-b.count(active))
	if err := cx.Want(mezzo.DemandFor(demand, b.task(0, piece{}), uint32(max(wanted, 0)))); err != nil {
		return err
	}
	if over := b.count(done) + b.count(failed); over == b.pieces.Len() && !b.said.Get() {
		cx.Log().Info(fmt.Sprintf("all is over: %d done, %d failed", b.count(done), b.count(failed)))
		b.said.Set(true)
	}
	return nil
}

func init() { mezzo.Export(start) }

func main() {}
