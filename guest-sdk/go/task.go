package mezzo

import "time"

// KillGraceDefault is what [ProcessTask] and [ModuleTask] give a killed task between the first signal and the last.
const KillGraceDefault = 3 * time.Second

// A Task is one thing to run.
type Task struct {
	// The framework's name for it, unique among those of its tasks that the master still keeps: 1 to 128 of
	// a-z A-Z 0-9 . _ -, the first a letter or a digit.
	ID string
	// For people; the ID if it is empty.
	Name string
	// What runs: [Process], [Container] or [Module].
	Workload Workload
	// What it is charged for. Ports counts those in the list Ports and may be left 0.
	Resources Resources
	// Set in its environment, over what the agent sets itself.
	Env map[string]string
	// Kept with the task.
	Labels Labels
	// Ports to pick or to check.
	Ports []Port
	// Put into its sandbox before it starts.
	Files []File
	// From the first signal to the last when it is killed.
	KillGrace time.Duration
	// Running longer, it is killed and ends as failed; 0 is no limit.
	RuntimeMax time.Duration
	// Volumes of the offer's reservation.
	Mounts []Mount
	// It may be asked to end, with its grace and the reason "preempted", for somebody who was promised what it uses
	// or needs it more. Not for a demand of a priority above 0, and not on a reservation.
	Preemptible bool
	// Requests that a later master understands; a key that this one does not know is refused.
	Extra Labels
}

// A Workload is what a task runs. The agent must list its kind among its runtimes.
type Workload interface{ isWorkload() }

// Process is a native program that the agent runs as it is.
type Process struct {
	// The program and its arguments; nothing is passed through a shell.
	Argv []string
}

// Container is a program from an image.
type Container struct {
	// An OCI reference, by tag or digest.
	Image string
	// Replaces the image's own command where it is not empty.
	Argv []string
}

// Module is a WebAssembly component that implements wasi:cli/command.
type Module struct {
	// A component in the master's store: sha256: and 64 hexadecimal digits.
	Component string
	// Its arguments; the first is the name that it sees itself under.
	Argv []string
}

func (Process) isWorkload()   {}
func (Container) isWorkload() {}
func (Module) isWorkload()    {}

// A Port is one port of the agent that the task gets to itself. The task sees its number as PORT_<NAME>, the first
// also as PORT.
type Port struct {
	Name string
	// Exactly this port of the agent; 0 lets the master pick one.
	Fixed uint16
}

// A File is written into the task's sandbox folder before it starts.
type File struct {
	// Relative to the sandbox folder; may not leave it.
	Path string
	// The whole of it.
	Content []byte
	// Whether it may be executed.
	Executable bool
}

// A Mount says where a task sees a volume.
type Mount struct {
	// One of the reservation that the task is launched on. One task has it at a time; those of one group may share it.
	Volume string
	// Relative to the sandbox folder; no other mount's or file's path, nor below one.
	Path string
}

// ProcessTask is a task that runs a native program, charged 100 thousandths of a processor and 32 MiB until told
// otherwise.
func ProcessTask(id string, argv ...string) Task { return newTask(id, Process{argv}) }

// ModuleTask is a task that runs a component from the master's store, with the same defaults.
func ModuleTask(id, component string, argv ...string) Task {
	return newTask(id, Module{component, argv})
}

func newTask(id string, workload Workload) Task {
	return Task{
		ID:        id,
		Workload:  workload,
		Resources: Resources{CPUMilli: 100, MemoryBytes: 32 * MiB},
		KillGrace: KillGraceDefault,
	}
}

// Needs is what an offer must hold for the task: its resources, and as many ports as it lists.
func (t Task) Needs() Resources {
	needs := t.Resources
	needs.Ports = max(needs.Ports, uint32(len(t.Ports)))
	return needs
}

// On puts the task on an offer, serving the demand of that name.
func (t Task) On(offer OfferID, demand string) Placement {
	return Placement{Offer: offer, Demand: demand, Task: t}
}

// A Placement is one task on one offer.
type Placement struct {
	// Of this turn.
	Offer OfferID
	// The demand that it serves: its count goes down by one when the turn commits. Empty for none.
	Demand string
	// What to run.
	Task Task
}

// Launched is what came of one placement.
type Launched struct {
	// As asked for.
	Task string
	Run  RunID
	// In the order of the task's Ports.
	Ports []AssignedPort
}

// An AssignedPort is a port that the task was given.
type AssignedPort struct {
	// As the task named it.
	Name string
	// On the agent.
	Number uint16
}

// Reserved is what comes of keeping a part of an offer.
type Reserved struct {
	// Its name from now on.
	Reservation ReservationID
	// The same as an offer of this turn: volumes can be created and tasks launched on it at once.
	Offer OfferID
}

// TaskState is where a task stands.
type TaskState uint8

// The states. Finished, Failed, Killed and Lost are final.
const (
	// Committed by the master, not yet confirmed by the agent.
	Pending TaskState = iota
	// The agent prepares it.
	Starting
	// It runs.
	Running
	// Asked to stop, still there.
	Stopping
	// Its agent is silent; it may come back.
	Unreachable
	// It ended by itself with exit code 0.
	Finished
	// It ended otherwise, or never could start.
	Failed
	// It ended because it was killed.
	Killed
	// It never started, or its agent is gone for good.
	Lost
)

var taskStates = [...]string{
	"pending", "starting", "running", "stopping", "unreachable", "finished", "failed", "killed", "lost",
}

// String is the state's name in the contract.
func (s TaskState) String() string { return nameOf(taskStates[:], s, "TaskState") }

// Final says whether the task has ended.
func (s TaskState) Final() bool { return s >= Finished }

// MarshalText lets states stand in JSON by name.
func (s TaskState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A TaskStatus is what the master knows of one task.
type TaskStatus struct {
	// The framework's name for it.
	Task string
	Run  RunID
	// The group that it was launched in, or empty.
	Group string
	// As launched.
	Labels Labels
	// Where it runs.
	Agent AgentID
	// Where it stands.
	State TaskState
	// A stable code, such as runtime-max; the list is in the guide. Empty when there is nothing to say.
	Reason string
	// For people.
	Message string
	// Once it has ended by itself, or by a signal (128 and its number); nil before.
	ExitCode *int
	// Where the agent can be reached.
	Address string
	// The ports it was given.
	Ports []AssignedPort
	// When it came to this state.
	Since time.Time
}
