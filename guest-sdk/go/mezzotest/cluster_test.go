package mezzotest_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
	"mezzo.dev/go/web"
)

// puppet does what a test tells it to.
type puppet struct {
	mezzo.Base
	http.Handler
	count  *mezzo.Value[int]
	rows   *mezzo.Table[uint64, string]
	timers []string
	gone   []mezzo.AgentID
	closed []mezzo.StreamID
	offers [][]mezzo.Offer
	// What it does with offers; nothing if nil.
	use func(cx *mezzo.Cx, offers []mezzo.Offer) error
}

// puppets is a start, and what it does on top of loading.
func puppets(also func(cx *mezzo.Cx, p *puppet) error) mezzo.Start[*puppet] {
	return func(cx *mezzo.Cx, _ mezzo.Setup) (*puppet, error) {
		p := &puppet{}
		var err error
		if p.count, err = mezzo.LoadValue[int](cx, "count"); err != nil {
			return nil, err
		}
		if p.rows, err = mezzo.LoadTable[uint64, string](cx, "row/"); err != nil {
			return nil, err
		}
		return p, also(cx, p)
	}
}

func (p *puppet) Timer(cx *mezzo.Cx, name string) error {
	p.timers = append(p.timers, name)
	if name == "again" {
		return cx.SetTimer("again", time.Second)
	}
	return nil
}

func (p *puppet) AgentsGone(_ *mezzo.Cx, agents []mezzo.AgentID) error {
	p.gone = append(p.gone, agents...)
	return nil
}

func (p *puppet) StreamsClosed(_ *mezzo.Cx, streams []mezzo.StreamID) error {
	p.closed = append(p.closed, streams...)
	return nil
}

func (p *puppet) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	p.offers = append(p.offers, offers)
	if p.use == nil {
		return nil
	}
	return p.use(cx, offers)
}

var agent = mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB, DiskBytes: mezzo.GiB}

func framework(t *testing.T, cluster *mezzotest.Cluster[*puppet]) *puppet {
	t.Helper()
	p, lives := cluster.Framework()
	if !lives {
		t.Fatal("it does not live")
	}
	return p
}

func nothing(*mezzo.Cx, *puppet) error { return nil }

func want(demands ...mezzo.Demand) func(*mezzo.Cx, *puppet) error {
	return func(cx *mezzo.Cx, _ *puppet) error { return cx.Want(demands...) }
}

func TestStateIsWrittenOnceATurnAndOutlivesTheInstance(t *testing.T) {
	cluster := mezzotest.New(t, puppets(func(cx *mezzo.Cx, p *puppet) error {
		p.count.Edit(func(n *int) { *n++ })
		p.count.Edit(func(n *int) { *n++ })
		p.rows.Set(10, "ten")
		p.rows.Set(9, "nine")
		p.rows.Set(8, "eight")
		p.rows.Delete(8)
		p.rows.Edit(10, func(row *string) { *row += "!" })
		return nil
	}))
	cluster.Settle()
	state := cluster.State()
	if got := fmt.Sprintf("%s %s %d", state["count"], state["row/00000000000000000010"], len(state)); got != `2 "ten!" 3` {
		t.Errorf("the state is %q", state)
	}
	cluster.Restart()
	cluster.Settle()
	p := framework(t, cluster)
	var rows []string
	for key, row := range p.rows.All() {
		rows = append(rows, fmt.Sprint(key, row))
	}
	if p.count.Get() != 4 || !slices.Equal(rows, []string{"9nine", "10ten!"}) {
		t.Errorf("%d %q", p.count.Get(), rows)
	}
}

func TestDamagedStateNamesItsKey(t *testing.T) {
	cluster := mezzotest.New(t, puppets(nothing))
	cluster.DamageState("count", []byte("x"))
	var broken *mezzo.StateError
	if err := cluster.Start(); !errors.As(err, &broken) || broken.Key != "count" {
		t.Errorf("%v", err)
	}
}

func TestAQuotaUndoesTheTurnAndIsNamed(t *testing.T) {
	cluster := mezzotest.New(t, puppets(func(_ *mezzo.Cx, p *puppet) error {
		p.rows.Set(1, strings.Repeat("x", 100))
		return nil
	}))
	cluster.Limits.StateBytes = 100
	if err := cluster.Start(); err == nil || !strings.Contains(err.Error(), "state-bytes-max: at most 100 bytes") {
		t.Errorf("%v", err)
	}
	if len(cluster.State()) != 0 {
		t.Errorf("%q", cluster.State())
	}
}

func TestATurnIsAllOrNothing(t *testing.T) {
	cluster := mezzotest.New(t, puppets(want(mezzo.DemandFor("d", mezzo.ProcessTask("t"), 1))))
	cluster.AddAgent(agent)
	for _, fails := range []func() error{
		func() error { return errors.New("an error") },
		func() error { panic("a panic") },
	} {
		if err := cluster.Start(); err != nil {
			t.Fatal(err)
		}
		p := framework(t, cluster)
		p.use = func(cx *mezzo.Cx, offers []mezzo.Offer) error {
			p.count.Set(7)
			if _, err := cx.Launch(mezzo.ProcessTask("t", "true").On(offers[0].ID, "d")); err != nil {
				return err
			}
			return fails()
		}
		cluster.Turn()
		if len(cluster.Tasks()) != 0 || len(cluster.State()) != 0 || cluster.Demands()[0].Count != 1 {
			t.Errorf("something of it is left: %v %q", cluster.Tasks(), cluster.State())
		}
	}
	if got := fmt.Sprint(cluster.Faults()); got != "[an error panic: a panic]" {
		t.Errorf("the faults are %s", got)
	}
}

func TestTimersAreDurable(t *testing.T) {
	cluster := mezzotest.New(t, puppets(func(cx *mezzo.Cx, p *puppet) error {
		if p.count.Get() > 0 {
			return nil
		}
		p.count.Set(1)
		cx.CancelTimer("none")
		return errors.Join(cx.SetTimer("once", 2*time.Second), cx.SetTimer("again", time.Second))
	}))
	cluster.Settle()
	cluster.Restart()
	cluster.Settle()
	for range 3 {
		cluster.Advance(time.Second)
		cluster.Settle()
	}
	if timers := framework(t, cluster).timers; !slices.Equal(timers, []string{"again", "again", "once", "again"}) {
		t.Errorf("%v", timers)
	}
}

func TestOffersAreCutToTheDemandAndNotRepeated(t *testing.T) {
	cluster := mezzotest.New(t, puppets(want(mezzo.Demand{
		Name: "d", Each: mezzo.Resources{CPUMilli: 100}, Count: 3,
		Conditions: []mezzo.Condition{{Attribute: "rack", Test: mezzo.Equals, Value: "r1"}},
	})))
	cluster.AddAgent(agent)
	on := cluster.AddAgent(agent, mezzo.Attribute{Name: "rack", Value: mezzo.Text("r1")})
	cluster.Settle()
	offers := framework(t, cluster).offers
	if len(offers) != 1 || len(offers[0]) != 1 || offers[0][0].Agent != on || offers[0][0].Free.CPUMilli != 300 {
		t.Errorf("%+v", offers)
	}
}

func TestAGangIsOfferedWholeOrNotAtAll(t *testing.T) {
	cluster := mezzotest.New(t, puppets(want(mezzo.Demand{
		Name: "gang", Each: mezzo.Resources{CPUMilli: 600}, Count: 2, Together: true,
	})))
	cluster.AddAgent(agent)
	cluster.Settle()
	if offers := framework(t, cluster).offers; len(offers) != 0 {
		t.Fatalf("half of it is offered: %v", offers)
	}
	framework(t, cluster).use = func(cx *mezzo.Cx, offers []mezzo.Offer) error {
		plan := mezzo.NewPlan(offers)
		for i := range 2 {
			task := mezzo.ProcessTask(fmt.Sprint("gang-", i), "true")
			task.Resources = mezzo.Resources{CPUMilli: 600}
			if !plan.Place("gang", task) {
				return errors.New("it does not fit")
			}
		}
		_, err := plan.Launch(cx)
		return err
	}
	cluster.AddAgent(agent)
	cluster.Settle()
	if live := cluster.Live(); len(live) != 2 {
		t.Errorf("live are %v", live)
	}
}

func TestRefusalsHaveAKind(t *testing.T) {
	checks := map[string]struct {
		kind  mezzo.RefusalKind
		place func(offer mezzo.Offer) mezzo.Placement
	}{
		"another offer": {mezzo.ErrUnknown, func(mezzo.Offer) mezzo.Placement {
			return mezzo.ProcessTask("t", "true").On(12345, "d")
		}},
		"another demand": {mezzo.ErrUnknown, func(o mezzo.Offer) mezzo.Placement {
			return mezzo.ProcessTask("t", "true").On(o.ID, "e")
		}},
		"too much": {mezzo.ErrInsufficient, func(o mezzo.Offer) mezzo.Placement {
			task := mezzo.ProcessTask("t", "true")
			task.Resources.CPUMilli = 1 << 40
			return task.On(o.ID, "d")
		}},
		"a bad name": {mezzo.ErrInvalid, func(o mezzo.Offer) mezzo.Placement {
			return mezzo.ProcessTask("-t", "true").On(o.ID, "d")
		}},
		"no program": {mezzo.ErrInvalid, func(o mezzo.Offer) mezzo.Placement {
			return mezzo.ProcessTask("t").On(o.ID, "d")
		}},
		"a container": {mezzo.ErrInvalid, func(o mezzo.Offer) mezzo.Placement {
			return mezzo.Placement{Offer: o.ID, Task: mezzo.Task{ID: "t", Workload: mezzo.Container{Image: "i"}}}
		}},
		"a volume of nothing": {mezzo.ErrInvalid, func(o mezzo.Offer) mezzo.Placement {
			task := mezzo.ProcessTask("t", "true")
			task.Mounts = []mezzo.Mount{{Volume: "v", Path: "p"}}
			return task.On(o.ID, "d")
		}},
		"preemptible and urgent": {mezzo.ErrInvalid, func(o mezzo.Offer) mezzo.Placement {
			task := mezzo.ProcessTask("t", "true")
			task.Preemptible = true
			return task.On(o.ID, "d")
		}},
	}
	for name, check := range checks {
		cluster := mezzotest.New(t, puppets(want(mezzo.Demand{
			Name: "d", Each: mezzo.Resources{CPUMilli: 100, MemoryBytes: mezzo.GiB}, Count: 1, Priority: 1,
		})))
		cluster.AddAgent(agent)
		cluster.Turn()
		framework(t, cluster).use = func(cx *mezzo.Cx, offers []mezzo.Offer) error {
			fine := mezzo.ProcessTask("fine", "true").On(offers[0].ID, "d")
			_, err := cx.Launch(fine, check.place(offers[0]))
			var refusal *mezzo.Refusal
			if !errors.Is(err, check.kind) || !errors.As(err, &refusal) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		}
		cluster.Settle()
		if len(cluster.History()) != 0 {
			t.Errorf("%s: half of the call was taken", name)
		}
	}
}

func TestReservationsAreOfferedToWhomTheyAreFor(t *testing.T) {
	amount := mezzo.Resources{CPUMilli: 500, MemoryBytes: mezzo.MiB, DiskBytes: 100}
	cluster := mezzotest.New(t, puppets(want(mezzo.Demand{Name: "d", Each: amount, Count: 1})))
	on := cluster.AddAgent(agent)
	cluster.Turn()
	var kept mezzo.Reserved
	framework(t, cluster).use = func(cx *mezzo.Cx, offers []mezzo.Offer) (err error) {
		if kept, err = cx.Reserve(offers[0].ID, amount, mezzo.Labels{"k": "v"}, time.Time{}); err != nil {
			return err
		}
		if err := cx.CreateVolume(kept.Reservation, "data", 101); !errors.Is(err, mezzo.ErrInsufficient) {
			t.Errorf("a volume that is too large: %v", err)
		}
		if err := cx.CreateVolume(kept.Reservation, "data", 60); err != nil {
			return err
		}
		return cx.Want(mezzo.Demand{
			Name: "back", Each: mezzo.Resources{CPUMilli: 500}, Count: 1,
			Reservations: []mezzo.ReservationID{kept.Reservation},
		})
	}
	cluster.Turn()
	framework(t, cluster).use = func(cx *mezzo.Cx, offers []mezzo.Offer) error {
		offer := offers[0]
		if offer.Reservation != kept.Reservation || offer.Agent != on || !slices.Equal(offer.Volumes, []string{"data"}) {
			t.Errorf("%+v", offer)
		}
		if err := cx.Unreserve(kept.Reservation); !errors.Is(err, mezzo.ErrInvalid) {
			t.Errorf("with a volume on it: %v", err)
		}
		task := mezzo.ProcessTask("t", "true")
		task.Resources = mezzo.Resources{CPUMilli: 500}
		task.Mounts = []mezzo.Mount{{Volume: "data", Path: "d"}}
		_, err := cx.Launch(task.On(offer.ID, "back"))
		return err
	}
	cluster.Settle()
	if r := cluster.Reservations()[0]; !r.Volumes[0].InUse || r.Free.CPUMilli != 0 || r.Labels["k"] != "v" {
		t.Errorf("%+v", r)
	}
	cluster.Finish("t", 0)
	cluster.Settle()
	if r := cluster.Reservations()[0]; r.Volumes[0].InUse || r.Free.CPUMilli != 500 || r.Free.DiskBytes != 40 {
		t.Errorf("%+v", r)
	}
}

func TestWhatAgentsDoIsTold(t *testing.T) {
	cluster := mezzotest.New(t, puppets(want(mezzo.DemandFor("d", mezzo.ProcessTask("t"), 1))))
	cluster.Turn()
	framework(t, cluster).use = func(cx *mezzo.Cx, offers []mezzo.Offer) error {
		task := mezzo.ProcessTask("t", "true")
		task.RuntimeMax = time.Minute
		task.Preemptible = true
		_, err := cx.Launch(task.On(offers[0].ID, "d"))
		return err
	}
	on := cluster.AddAgent(agent)
	cluster.Settle()
	check := func(state mezzo.TaskState) {
		t.Helper()
		if got := cluster.Task("t").Status.State; got != state {
			t.Errorf("it is %s, not %s", got, state)
		}
	}
	cluster.SilenceAgent(on)
	check(mezzo.Unreachable)
	cluster.WakeAgent(on)
	check(mezzo.Running)
	cluster.Advance(time.Minute)
	check(mezzo.Failed)
	cluster.Settle()
	cluster.LoseAgent(on)
	cluster.Settle()
	if gone := framework(t, cluster).gone; !slices.Equal(gone, []mezzo.AgentID{on}) {
		t.Errorf("gone are %v", gone)
	}
}

func TestRequestsAndStreams(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		id := web.Stream(w)
		fmt.Fprint(w, "hello")
		if r.URL.Query().Has("close") {
			web.Cx(r).StreamClose(id)
		}
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("here") })
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, web.Principal(r), http.StatusForbidden)
	})
	cluster := mezzotest.New(t, puppets(func(_ *mezzo.Cx, p *puppet) error {
		p.Handler = mux
		return nil
	}))
	if status, answer := cluster.Request("GET", "/who", ""); status != http.StatusForbidden || answer != "tester\n" {
		t.Errorf("%d %q", status, answer)
	}
	response, id := cluster.Do(httptest.NewRequest("GET", "/stream", nil))
	if body, open := cluster.Stream(id); body != "hello" || !open || response.StatusCode != 200 {
		t.Errorf("%q %t %d", body, open, response.StatusCode)
	}
	cluster.LeaveStream(id)
	cluster.Settle()
	if closed := framework(t, cluster).closed; !slices.Equal(closed, []mezzo.StreamID{id}) {
		t.Errorf("closed are %v", closed)
	}
	if status, _ := cluster.Request("GET", "/panic", ""); status != 500 || len(cluster.Faults()) != 1 {
		t.Errorf("%d %v", status, cluster.Faults())
	}
}
