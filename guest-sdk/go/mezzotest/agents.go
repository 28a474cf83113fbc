package mezzotest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	mezzo "mezzo.dev/go"
)

// The ports of an agent that names no number.
const portsDefault = 1_000

// The exit code of a task that was ended by SIGTERM.
const terminated = 143

// AddAgent adds an agent that runs processes and modules. It gets 1,000 ports unless total names a number.
func (c *Cluster[F]) AddAgent(total mezzo.Resources, attributes ...mezzo.Attribute) mezzo.AgentID {
	if total.Ports == 0 {
		total.Ports = portsDefault
	}
	id := mezzo.AgentID(c.world.freshID())
	c.world.agents[id] = &agent{
		info: mezzo.Agent{
			ID:         id,
			Hostname:   fmt.Sprintf("agent-%d", id),
			Address:    "127.0.0.1",
			Attributes: attributes,
			Total:      total,
			Runtimes:   []string{"process", "module"},
		},
		free:      total,
		fixedUsed: map[uint16]bool{},
	}
	return id
}

// LoseAgent: the agent leaves for good, and its reservations with it; its tasks are lost.
func (c *Cluster[F]) LoseAgent(id mezzo.AgentID) {
	for _, task := range c.world.tasksOn(id) {
		c.world.end(task, mezzo.Lost, "agent-gone", nil)
	}
	if c.world.agents[id] != nil {
		delete(c.world.agents, id)
		c.world.gone = append(c.world.gone, id)
	}
	maps.DeleteFunc(c.world.reservations, func(_ mezzo.ReservationID, r *reservation) bool { return r.view.Agent == id })
}

// SilenceAgent: the agent falls silent. Its tasks are unreachable and obey nothing, and it is not offered.
func (c *Cluster[F]) SilenceAgent(id mezzo.AgentID) {
	if agent := c.world.agents[id]; agent != nil {
		agent.silent = true
	}
	for _, task := range c.world.tasksOn(id) {
		c.world.change(task, mezzo.Unreachable, "agent-silent")
	}
}

// WakeAgent: the agent is back, and its tasks ran on.
func (c *Cluster[F]) WakeAgent(id mezzo.AgentID) {
	if agent := c.world.agents[id]; agent != nil {
		agent.silent, agent.seen = false, false
	}
	for _, known := range c.world.reservations {
		known.seen = known.seen && known.view.Agent != id
	}
	for _, task := range c.world.tasksOn(id) {
		c.world.change(task, mezzo.Running, "agent-returned")
	}
}

// Tasks are all that the master still keeps, by ID.
func (c *Cluster[F]) Tasks() []Task {
	var tasks []Task
	for _, id := range slices.Sorted(maps.Keys(c.world.tasks)) {
		tasks = append(tasks, *c.world.tasks[id])
	}
	return tasks
}

// Task is one of them; the test fails when there is none.
func (c *Cluster[F]) Task(id string) Task {
	c.t.Helper()
	return *c.mustTask(id)
}

// Live are the IDs of those that have not ended.
func (c *Cluster[F]) Live() []string {
	var ids []string
	for _, task := range c.Tasks() {
		if !task.Status.State.Final() {
			ids = append(ids, task.ID)
		}
	}
	return ids
}

// History is every task that was ever launched, in order.
func (c *Cluster[F]) History() []mezzo.Task { return slices.Clone(c.world.history) }

// Run: the task begins to run.
func (c *Cluster[F]) Run(id string) {
	c.t.Helper()
	c.world.change(c.mustLive(id), mezzo.Running, "")
}

// Finish: the task ends by itself.
func (c *Cluster[F]) Finish(id string, exitCode int) {
	c.t.Helper()
	state := mezzo.Finished
	if exitCode != 0 {
		state = mezzo.Failed
	}
	c.world.end(c.mustLive(id), state, "exited", &exitCode)
}

// FailToStart: the task could not be started.
func (c *Cluster[F]) FailToStart(id string) {
	c.t.Helper()
	c.world.end(c.mustLive(id), mezzo.Failed, "start-failed", nil)
}

// Lose: the task is lost.
func (c *Cluster[F]) Lose(id string) {
	c.t.Helper()
	c.world.end(c.mustLive(id), mezzo.Lost, "agent-forgot", nil)
}

// Kill: somebody else kills the task.
func (c *Cluster[F]) Kill(id string) {
	c.t.Helper()
	c.world.end(c.mustLive(id), mezzo.Killed, "kill-requested", exitCode(terminated))
}

// Drain: an operator drains the task's agent.
func (c *Cluster[F]) Drain(id string) {
	c.t.Helper()
	c.world.end(c.mustLive(id), mezzo.Killed, "agent-draining", exitCode(terminated))
}

// Preempt: the master takes back what the task uses, for a role below its guarantee or for a demand of a higher
// priority. The test fails unless the task is preemptible.
func (c *Cluster[F]) Preempt(id string) {
	c.t.Helper()
	task := c.mustLive(id)
	if !task.Preemptible {
		c.t.Fatalf("task %s is not preemptible", id)
	}
	c.world.end(task, mezzo.Killed, "preempted", exitCode(terminated))
}

// RunToEnd runs and ends every task, with the exit code that exit says (0 if it is nil), until nothing lives any more.
func (c *Cluster[F]) RunToEnd(exit func(mezzo.Task) int) {
	c.t.Helper()
	c.Settle()
	for live := c.Live(); len(live) > 0; live = c.Live() {
		for _, id := range live {
			code := 0
			if exit != nil {
				code = exit(c.Task(id).Task)
			}
			c.Run(id)
			c.Finish(id, code)
		}
		c.Settle()
	}
}

func (c *Cluster[F]) mustLive(id string) *Task {
	c.t.Helper()
	task := c.mustTask(id)
	if task.Status.State.Final() {
		c.t.Fatalf("task %q has ended: it is %s", id, task.Status.State)
	}
	return task
}

func exitCode(code int) *int { return &code }

// tasksOn are the live tasks of an agent, in the order of their IDs.
func (w *world) tasksOn(on mezzo.AgentID) []*Task {
	var own []*Task
	for _, id := range slices.Sorted(maps.Keys(w.tasks)) {
		if task := w.tasks[id]; task.Status.Agent == on && !task.Status.State.Final() {
			own = append(own, task)
		}
	}
	return own
}

func (w *world) change(task *Task, state mezzo.TaskState, reason string) {
	if state == mezzo.Running && task.runningSince.IsZero() {
		task.runningSince = w.now
	}
	task.Status.State, task.Status.Reason, task.Status.Since = state, reason, w.now
	w.unhandled[task.ID] = true
}

// end is a final state; what the task held is free again.
func (w *world) end(task *Task, state mezzo.TaskState, reason string, exitCode *int) {
	w.change(task, state, reason)
	task.Status.ExitCode = exitCode
	if agent := w.agents[task.Status.Agent]; agent != nil {
		freed := mezzo.Resources{}
		if task.Reservation == 0 {
			freed = withoutPorts(task.Resources)
		}
		freed.Ports = uint32(len(task.Ports))
		agent.free = agent.free.Plus(freed)
		agent.seen = false
		for _, port := range task.Ports {
			delete(agent.fixedUsed, port.Fixed)
		}
	}
	if known := w.reservations[task.Reservation]; known != nil {
		known.use(task.Task, -1)
	}
	w.finishReservations()
}

// agentsAct: agents that answer do what they were told to. They kill tasks and destroy volumes.
func (w *world) agentsAct() {
	w.destroyVolumes()
	killed := w.killed
	w.killed = nil
	for _, id := range killed {
		task := w.tasks[id]
		if task == nil || !task.killed || task.Status.State.Final() {
			continue
		}
		if agent := w.agents[task.Status.Agent]; agent != nil && agent.silent {
			w.killed = append(w.killed, id)
			continue
		}
		var code *int
		if !task.runningSince.IsZero() {
			code = exitCode(terminated)
		}
		w.end(task, mezzo.Killed, "kill-requested", code)
	}
}

func (w *world) advance(d time.Duration) {
	before := w.now
	w.now = w.now.Add(d)
	w.reservationsDue(before)
	for _, id := range slices.Sorted(maps.Keys(w.tasks)) {
		task := w.tasks[id]
		if task.Status.State.Final() || task.RuntimeMax == 0 || task.runningSince.IsZero() {
			continue
		}
		if !task.runningSince.Add(task.RuntimeMax).After(w.now) {
			w.end(task, mezzo.Failed, "runtime-max", exitCode(terminated))
		}
	}
}
