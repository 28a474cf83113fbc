package mezzotest

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	mezzo "mezzo.dev/go"
)

func (t *turn) Launch(placements []mezzo.Placement) ([]mezzo.Launched, error) {
	return t.launch(placements, "")
}

func (t *turn) LaunchGroup(group string, placements []mezzo.Placement) ([]mezzo.Launched, error) {
	agents := map[mezzo.AgentID]bool{}
	for _, placement := range placements {
		if offer := t.left[placement.Offer]; offer != nil {
			agents[offer.Agent] = true
		}
	}
	if !isName(group) || len(agents) > 1 {
		return nil, invalid("group %s: a name, and one agent for all its tasks", group)
	}
	return t.launch(placements, group)
}

// launch takes all placements or none: what it changes is put back when one is refused.
func (t *turn) launch(placements []mezzo.Placement, group string) ([]mezzo.Launched, error) {
	bytes := 0
	for _, placement := range placements {
		bytes += taskBytes(placement.Task)
	}
	t.call(bytes)
	if t.launches+len(placements) > t.limits.LaunchesPerTurn {
		return nil, limit("launches-per-turn-max", t.limits.LaunchesPerTurn)
	}
	if len(placements)+len(t.world.tasks) > t.limits.Tasks {
		return nil, limit("tasks-max", t.limits.Tasks)
	}
	kept, keptLeft := t.world, deep(t.left, func(offer mezzo.Offer) mezzo.Offer {
		offer.Volumes = slices.Clone(offer.Volumes)
		return offer
	})
	t.world = kept.copy()
	answers := make([]mezzo.Launched, 0, len(placements))
	for _, placement := range placements {
		launched, err := t.launchOne(placement, group)
		if err != nil {
			t.world, t.left = kept, keptLeft
			return nil, err
		}
		answers = append(answers, launched)
	}
	for _, placement := range placements {
		t.serve(placement.Demand)
	}
	t.launches += len(placements)
	return answers, nil
}

// serve counts a placement against its demand.
func (t *turn) serve(name string) {
	t.served[name]++
	for i := range t.world.demands {
		if demand := &t.world.demands[i]; demand.Name == name && demand.Count > 0 {
			demand.Count--
		}
	}
}

func (t *turn) launchOne(placement mezzo.Placement, group string) (mezzo.Launched, error) {
	var none mezzo.Launched
	task := placement.Task
	if err := checkTask(task); err != nil {
		return none, err
	}
	if t.world.tasks[task.ID] != nil {
		return none, invalid("task %s: the id is in use", task.ID)
	}
	priority, err := t.priority(placement.Demand)
	if err != nil {
		return none, err
	}
	if task.Preemptible && priority > 0 {
		return none, invalid("task %s: it may not be preemptible, because its demand has priority %d, above 0",
			task.ID, priority)
	}
	offer := t.left[placement.Offer]
	if offer == nil {
		return none, unknown("offer %d is not one of this turn", placement.Offer)
	}
	known := t.world.reservations[offer.Reservation]
	if err := t.checkMounts(task, known, group); err != nil {
		return none, err
	}
	agent := t.world.agents[offer.Agent]
	if kind := runtimeOf(task.Workload); !slices.Contains(agent.info.Runtimes, kind) {
		return none, invalid("task %s: the agent does not run `%s`", task.ID, kind)
	}
	needs, ports := withoutPorts(task.Resources), uint32(len(task.Ports))
	portsOffer := t.left[t.whosePorts(offer.ID)]
	if !offer.Free.Holds(needs) || portsOffer.Free.Ports < ports {
		return none, insufficient("task %s: offer %d has too little left", task.ID, offer.ID)
	}
	for _, port := range task.Ports {
		if port.Fixed != 0 && agent.fixedUsed[port.Fixed] {
			return none, insufficient("task %s: port %d is taken", task.ID, port.Fixed)
		}
	}

	offer.Free = offer.Free.Minus(needs)
	offer.Volumes = slices.DeleteFunc(offer.Volumes, func(name string) bool { return mounts(task, name) })
	portsOffer.Free.Ports -= ports
	if known != nil {
		known.use(task, 1)
	} else {
		agent.free = agent.free.Minus(needs)
	}
	agent.free.Ports -= min(agent.free.Ports, ports)
	for _, port := range task.Ports {
		if port.Fixed != 0 {
			agent.fixedUsed[port.Fixed] = true
		}
	}
	status := t.pending(task, group, agent)
	t.world.tasks[task.ID] = &Task{Task: task, Status: status, Reservation: offer.Reservation}
	t.world.history = append(t.world.history, task)
	return mezzo.Launched{Task: task.ID, Run: status.Run, Ports: status.Ports}, nil
}

// pending is a task's first status.
func (t *turn) pending(task mezzo.Task, group string, agent *agent) mezzo.TaskStatus {
	t.world.lastRun++
	run := t.world.lastRun
	status := mezzo.TaskStatus{
		Task:    task.ID,
		Run:     run,
		Group:   group,
		Labels:  task.Labels,
		Agent:   agent.info.ID,
		State:   mezzo.Pending,
		Address: agent.info.Address,
		Since:   t.world.now,
	}
	for i, port := range task.Ports {
		number := port.Fixed
		if number == 0 {
			number = uint16(20_000 + (uint64(run)*16+uint64(i))%40_000)
		}
		status.Ports = append(status.Ports, mezzo.AssignedPort{Name: port.Name, Number: number})
	}
	return status
}

// priority is that of the demand which a launch serves; without one it is 0.
func (t *turn) priority(name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	for _, demand := range t.world.demands {
		if demand.Name == name {
			return demand.Priority, nil
		}
	}
	return 0, unknown("demand %s: no such demand", name)
}

// whosePorts is the offer whose ports a task takes that is launched on an offer.
func (t *turn) whosePorts(offer mezzo.OfferID) mezzo.OfferID {
	if of, there := t.portsOf[offer]; there {
		return of
	}
	return offer
}

// checkMounts says whether a task may have its volumes, and may be what it says it is, on an offer.
func (t *turn) checkMounts(task mezzo.Task, known *reservation, group string) error {
	if known == nil {
		if len(task.Mounts) > 0 {
			return invalid("task %s: volume %s is of no reservation", task.ID, task.Mounts[0].Volume)
		}
		return nil
	}
	if task.Preemptible {
		return invalid("task %s: it may not be preemptible on a reservation", task.ID)
	}
	for _, mount := range task.Mounts {
		volume := known.volume(mount.Volume)
		switch {
		case volume == nil:
			return noVolume(known.view.ID, mount.Volume)
		case volume.Destroying:
			return invalid("task %s: volume %s is being destroyed", task.ID, mount.Volume)
		case known.mounted[mount.Volume] > t.ownMounts(known.view.ID, mount.Volume, group):
			return invalid("task %s: volume %s is in use by another task", task.ID, mount.Volume)
		}
	}
	return nil
}

// ownMounts are the tasks that this turn launched in the same group and that have the volume.
func (t *turn) ownMounts(on mezzo.ReservationID, volume, group string) int {
	n := 0
	for id, task := range t.world.tasks {
		if t.before.tasks[id] == nil && group != "" && task.Status.Group == group && task.Reservation == on &&
			mounts(task.Task, volume) {
			n++
		}
	}
	return n
}

func mounts(task mezzo.Task, volume string) bool {
	return slices.ContainsFunc(task.Mounts, func(mount mezzo.Mount) bool { return mount.Volume == volume })
}

// checkTask are the rules that need no cluster.
func checkTask(task mezzo.Task) error {
	refuse := func(field, rule string) error { return invalid("task %s: %s: %s", task.ID, field, rule) }
	if !isName(task.ID) {
		return refuse("id", nameRule)
	}
	if argv, needed := argvOf(task.Workload); needed && (len(argv) == 0 || argv[0] == "") {
		return refuse("argv[0]", "a program; it may not be empty")
	}
	for name, value := range task.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return refuse("env", "a name, not empty, without `=` and NUL")
		}
	}
	if task.RuntimeMax < 0 {
		return refuse("runtime-max-ms", "at least 1")
	}
	for nth, mount := range task.Mounts {
		if rule := mountRule(task, nth); rule != "" {
			return refuse(fmt.Sprintf("mounts[%d] (%s)", nth, mount.Volume), rule)
		}
	}
	for key := range task.Extra {
		return refuse("extra", "`"+key+"` is not known")
	}
	return nil
}

// mountRule: a mount is of a volume of its own, below the sandbox, and neither in another mount or file nor around one.
func mountRule(task mezzo.Task, nth int) string {
	within := func(outer, path string) bool { return path == outer || strings.HasPrefix(path, outer+"/") }
	mount := task.Mounts[nth]
	meets := func(path string) bool { return within(path, mount.Path) || within(mount.Path, path) }
	if !isName(mount.Volume) {
		return "the volume has no valid name"
	}
	for part := range strings.SplitSeq(mount.Path, "/") {
		if part == "" || part == "." || part == ".." {
			return "the path is not a relative one inside the sandbox"
		}
	}
	for _, other := range task.Mounts[:nth] {
		if other.Volume == mount.Volume || meets(other.Path) {
			return "the volume or the path is there twice"
		}
	}
	for _, file := range task.Files {
		if meets(file.Path) {
			return "the volume or the path is there twice"
		}
	}
	return ""
}

// runtimeOf is what an agent must have to run it.
func runtimeOf(workload mezzo.Workload) string {
	switch workload.(type) {
	case mezzo.Container:
		return "container"
	case mezzo.Module:
		return "module"
	default:
		return "process"
	}
}

func argvOf(workload mezzo.Workload) (argv []string, needed bool) {
	switch workload := workload.(type) {
	case mezzo.Process:
		return workload.Argv, true
	case mezzo.Module:
		return workload.Argv, true
	case mezzo.Container:
		return workload.Argv, false
	default:
		return nil, true
	}
}

// taskBytes is about what it takes to hand a task over.
func taskBytes(task mezzo.Task) int {
	bytes := int(unsafe.Sizeof(task)) + len(task.ID) + len(task.Name)
	argv, _ := argvOf(task.Workload)
	for _, argument := range argv {
		bytes += len(argument)
	}
	for _, file := range task.Files {
		bytes += len(file.Path) + len(file.Content)
	}
	for _, mount := range task.Mounts {
		bytes += len(mount.Volume) + len(mount.Path)
	}
	return bytes + pairsBytes(task.Env) + pairsBytes(task.Labels)
}

func pairsBytes(pairs map[string]string) int {
	bytes := 0
	for key, value := range pairs {
		bytes += len(key) + len(value)
	}
	return bytes
}
