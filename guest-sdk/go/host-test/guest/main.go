// The guest of the tests in host-test/tests: a framework that does what its options and timers say, so that the SDK is
// tested across the real boundary.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/web"
)

type options struct {
	// What runtime/debug.SetGCPercent is called with, unless it is 0.
	GCPercent int `json:"gcPercent"`
	// Whether each offer gets a task with every field set; else a plain one.
	Full bool `json:"full"`
	// Goroutines that keep calling the master while offers are looked at.
	Callers int `json:"callers"`
}

type guest struct {
	mezzo.Base
	http.Handler
	options options
	seen    *mezzo.Table[uint64, string]
	turns   *mezzo.Value[uint64]
}

func start(cx *mezzo.Cx, setup mezzo.Setup) (*guest, error) {
	g := &guest{}
	if err := mezzo.DecodeOptions(setup.Options, &g.options); err != nil {
		return nil, err
	}
	if g.options.GCPercent != 0 {
		debug.SetGCPercent(g.options.GCPercent)
	}
	var err error
	if g.seen, err = mezzo.LoadTable[uint64, string](cx, "seen/"); err != nil {
		return nil, err
	}
	if g.turns, err = mezzo.LoadValue[uint64](cx, "turns"); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("GET /stream", stream)
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("in a handler") })
	mux.HandleFunc("GET /status/{status}", status)
	g.Handler = mux
	slog.Info("started", "name", setup.Name, "role", setup.Role, "from", setup.UpgradedFrom, "argv0", os.Args[0])
	return g, cx.Want(wanted()...)
}

// wanted has every field set somewhere.
func wanted() []mezzo.Demand {
	return []mezzo.Demand{
		{
			Name: "all",
			Each: mezzo.Resources{
				CPUMilli: 1, MemoryBytes: 2, DiskBytes: 3, GPUs: 4, Ports: 5,
				Custom: map[string]uint64{"tape": 7, "seat": 6},
			},
			Count: 1_000_000,
			Conditions: []mezzo.Condition{
				{Attribute: "rack", Test: mezzo.Matches, Value: "r[0-9]+"},
				{Attribute: "@zone", Test: mezzo.Absent},
			},
			FixedPorts:   []uint16{80, 443},
			Prefer:       mezzo.LeastFree,
			Reservations: []mezzo.ReservationID{8, 9},
			Priority:     -10,
		},
		{Name: "gang", Each: mezzo.Resources{CPUMilli: 1}, Count: 2, Together: true, Priority: 11},
	}
}

func (g *guest) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	var callers sync.WaitGroup
	for i := range g.options.Callers {
		callers.Go(func() { call(cx, i) })
	}
	placements := make([]mezzo.Placement, 0, len(offers))
	for _, offer := range offers {
		task := mezzo.ProcessTask("t-"+strconv.FormatUint(uint64(offer.ID), 10), "sleep", "1")
		if g.options.Full {
			task = fullTask(task)
		}
		placements = append(placements, task.On(offer.ID, "all"))
	}
	launched, err := cx.Launch(placements...)
	if err != nil {
		return err
	}
	for i, one := range launched {
		if one.Task != placements[i].Task.ID || one.Run == 0 {
			return fmt.Errorf("launched[%d] is %+v, asked for was %s", i, one, placements[i].Task.ID)
		}
	}
	callers.Wait()
	g.turns.Edit(func(n *uint64) { *n++ })
	return nil
}

// call asks for much and looks at it, as another goroutine does while this one's answer is being read.
func call(cx *mezzo.Cx, i int) {
	key := "caller/" + strconv.Itoa(i)
	for round := range 20 {
		want := fmt.Sprintf("%d-%d-%s", i, round, text(i*100+round))
		if err := cx.SetState(key, []byte(want)); err != nil {
			panic(err)
		}
		if got, _ := cx.State(key); string(got) != want {
			panic(fmt.Sprintf("the state is %q, not %q", got, want))
		}
		for agent := range cx.Agents() {
			if agent.Hostname != fmt.Sprintf("host-%d", agent.ID) {
				panic(fmt.Sprintf("agent %d is %q", agent.ID, agent.Hostname))
			}
		}
	}
}

func text(n int) string {
	out := make([]byte, n%300)
	for i := range out {
		out[i] = 'a' + byte(n+i)%26
	}
	return string(out)
}

func fullTask(task mezzo.Task) mezzo.Task {
	task.Name = "a näme"
	task.Resources = mezzo.Resources{
		CPUMilli: 101, MemoryBytes: 102, DiskBytes: 103, Custom: map[string]uint64{"seat": 104},
	}
	task.Env = map[string]string{"B": "2", "A": ""}
	task.Labels = mezzo.Labels{"k": "v"}
	task.Ports = []mezzo.Port{{Name: "http"}, {Name: "admin", Fixed: 31_001}}
	task.Files = []mezzo.File{{Path: "f", Content: []byte{0, 255}, Executable: true}, {Path: "empty"}}
	task.KillGrace = 1_500 * time.Microsecond
	task.RuntimeMax = time.Minute
	task.Preemptible = true
	return task
}

func (g *guest) Agents(cx *mezzo.Cx, agents []mezzo.Agent) error { return say(cx, "agents", agents) }

func (g *guest) AgentsGone(cx *mezzo.Cx, agents []mezzo.AgentID) error {
	return say(cx, "gone", agents)
}

func (g *guest) Statuses(cx *mezzo.Cx, statuses []mezzo.TaskStatus) error {
	return say(cx, "statuses", statuses)
}

func (g *guest) StreamsClosed(cx *mezzo.Cx, streams []mezzo.StreamID) error {
	return say(cx, "closed", streams)
}

func (g *guest) Options(cx *mezzo.Cx, text string) error { return say(cx, "options", text) }

func say(cx *mezzo.Cx, what string, told any) error {
	bytes, err := json.Marshal(told)
	cx.Log().Info(what + " " + string(bytes))
	return err
}

func (g *guest) Timer(cx *mezzo.Cx, name string) error {
	switch name {
	case "panic":
		var none map[string]int
		none["x"] = 1
	case "error":
		return errors.New("it cannot go on")
	case "goroutines":
		return goroutines(cx)
	case "deadlock":
		<-make(chan int)
	case "recursion":
		slog.Info("recursion", "depth", depth(5_000))
	case "calls":
		return calls(cx)
	case "lookups":
		return lookups(cx)
	}
	return nil
}

func depth(n int) int {
	if n == 0 {
		return 0
	}
	return 1 + depth(n-1)
}

// goroutines: a thousand of them, which sleep and meet at a channel.
func goroutines(cx *mezzo.Cx) error {
	sums := make(chan int)
	for i := range 1_000 {
		go func() {
			time.Sleep(time.Millisecond)
			sums <- i
		}()
	}
	sum := 0
	for range 1_000 {
		sum += <-sums
	}
	cx.Log().Info("goroutines", "sum", sum)
	return nil
}

// calls makes every call of the contract that the other timers do not make.
func calls(cx *mezzo.Cx) error {
	cx.Revive()
	if err := cx.SetTimer("later", 1500*time.Microsecond); err != nil {
		return err
	}
	if err := cx.SetTimer("never", time.Second); err != nil {
		return err
	}
	cx.CancelTimer("never")
	if err := cx.SetTimer("", time.Second); err == nil {
		return errors.New("a timer without a name is accepted")
	}
	for _, key := range []string{"s/a", "s/b", "s/c"} {
		if err := cx.SetState(key, []byte(key)); err != nil {
			return err
		}
	}
	cx.DeleteState("s/b")
	for key, value := range cx.ScanState("s/") {
		cx.Log().Info("scan", "key", key, "value", string(value))
	}
	if _, there := cx.State("s/b"); there {
		return errors.New("what was deleted is there")
	}
	var refusal *mezzo.Refusal
	err := cx.Kill("nobody")
	if !errors.As(err, &refusal) || !errors.Is(err, mezzo.ErrUnknown) {
		return fmt.Errorf("killing nobody: %v", err)
	}
	cx.Log().Debug("kill", "refusal", refusal.Message)
	for _, err := range []error{
		cx.KillWithin("nobody", time.Second),
		cx.Unreserve(77),
		cx.CreateVolume(77, "v", 1),
		cx.DestroyVolume(77, "v"),
	} {
		if !errors.Is(err, mezzo.ErrUnknown) {
			return fmt.Errorf("what is not there: %v", err)
		}
	}
	_, err = cx.LaunchGroup("g", mezzo.ProcessTask("t", "true").On(77, "all"))
	if !errors.Is(err, mezzo.ErrUnknown) {
		return fmt.Errorf("a launch on no offer: %v", err)
	}
	_, err = cx.Reserve(77, mezzo.Resources{CPUMilli: 1}, mezzo.Labels{"k": "v"}, cx.Now().Add(time.Hour))
	if !errors.Is(err, mezzo.ErrUnknown) {
		return fmt.Errorf("a reservation of no offer: %v", err)
	}
	err = cx.Want(mezzo.Demand{Name: "!"})
	if !errors.Is(err, mezzo.ErrInvalid) {
		return fmt.Errorf("a bad demand: %v", err)
	}
	g := slog.With("w", 1).WithGroup("group")
	g.Warn("two\nlines", "x", time.Second)
	fmt.Println("standard output")
	return nil
}

// lookups says what the master's lists hold.
func lookups(cx *mezzo.Cx) error {
	for status := range cx.Tasks() {
		again, there := cx.FindTask(status.Task)
		cx.Log().Info("task", "id", status.Task, "same", there && again.Run == status.Run)
	}
	for agent := range cx.Agents() {
		again, there := cx.FindAgent(agent.ID)
		cx.Log().Info("agent", "id", uint64(agent.ID), "same", there && again.Hostname == agent.Hostname)
	}
	for reservation := range cx.Reservations() {
		if err := say(cx, "reservation", reservation); err != nil {
			return err
		}
		_, there := cx.FindReservation(reservation.ID)
		cx.Log().Info("found", "it", there)
	}
	_, task := cx.FindTask("nobody")
	_, agent := cx.FindAgent(1 << 50)
	_, reservation := cx.FindReservation(1 << 50)
	cx.Log().Info("nobody", "task", task, "agent", agent, "reservation", reservation)
	return nil
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	w.Header().Add("X-Two", "1")
	w.Header().Add("X-Two", "2")
	web.JSON(w, http.StatusTeapot, map[string]any{
		"method": r.Method, "query": r.URL.Query(), "header": r.Header.Get("X-Given"), "body": string(body),
		"principal": web.Principal(r), "now": web.Cx(r).Now().UnixMilli(),
	})
}

func stream(w http.ResponseWriter, r *http.Request) {
	id := web.Stream(w)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "first")
	cx := web.Cx(r)
	if !cx.StreamWrite(id, []byte("second")) || cx.StreamWrite(id+1, nil) {
		panic("the stream is not open, or another one is")
	}
	if r.URL.Query().Has("close") {
		cx.StreamClose(id)
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("status"))
	if err != nil {
		panic(err)
	}
	w.WriteHeader(number)
}

func init() { web.Export(start) }

func main() {}
