// Service keeps a number of equal tasks running, and has an HTTP API to say how many.
//
// Its options are {"count": 2, "command": ["sleep", "3600"]}; both may be left out. The API:
//
//	GET /        how many there should be, and those that there are
//	PUT /count   {"count": 3} changes it
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/web"
)

// The name of what it wants.
const demand = "service"

// More than that is taken for a mistake.
const countMax = 1000

type options struct {
	Count   int      `json:"count"`
	Command []string `json:"command"`
}

// memory is what it must not forget.
type memory struct {
	// How many there should be; nil until somebody has said so over the API.
	Count *int `json:"count,omitempty"`
	// How many it has launched, ever.
	Launched int `json:"launched"`
}

type service struct {
	mezzo.Base
	http.Handler
	options options
	memory  *mezzo.Value[memory]
	// The tasks that have not ended, as the master has them.
	live map[string]mezzo.TaskState
	// What it last said it wants.
	wanted int
}

func start(cx *mezzo.Cx, setup mezzo.Setup) (*service, error) {
	s := &service{live: map[string]mezzo.TaskState{}, wanted: -1}
	var err error
	if err = s.Options(cx, setup.Options); err != nil {
		return nil, err
	}
	if s.memory, err = mezzo.LoadValue[memory](cx, "memory"); err != nil {
		return nil, err
	}
	for status := range cx.Tasks() {
		s.note(status)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.show)
	mux.HandleFunc("PUT /count", s.scale)
	s.Handler = mux
	return s, nil
}

func (s *service) Options(_ *mezzo.Cx, text string) error {
	read := options{Count: 2, Command: []string{"sleep", "3600"}}
	if err := mezzo.DecodeOptions(text, &read); err != nil {
		return err
	}
	if err := checkCount(read.Count); err != nil {
		return err
	}
	s.options = read
	return nil
}

func checkCount(count int) error {
	if count < 0 || count > countMax {
		return fmt.Errorf("count: 0 to %d, not %d", countMax, count)
	}
	return nil
}

func (s *service) count() int {
	if count := s.memory.Get().Count; count != nil {
		return *count
	}
	return s.options.Count
}

func (s *service) note(status mezzo.TaskStatus) {
	if status.State.Final() {
		delete(s.live, status.Task)
	} else {
		s.live[status.Task] = status.State
	}
}

func (s *service) Statuses(cx *mezzo.Cx, statuses []mezzo.TaskStatus) error {
	for _, status := range statuses {
		cx.Log().Info(fmt.Sprintf("%s is %s", status.Task, status.State))
		s.note(status)
	}
	return nil
}

func (s *service) task(number int) mezzo.Task {
	return mezzo.ProcessTask(fmt.Sprintf("service-%d", number), s.options.Command...)
}

func (s *service) Offers(cx *mezzo.Cx, offers []mezzo.Offer) error {
	plan := mezzo.NewPlan(offers)
	number := s.memory.Get().Launched
	for missing := s.count() - len(s.live); missing > 0 && plan.Place(demand, s.task(number+1)); missing-- {
		number++
	}
	launched, err := plan.Launch(cx)
	if err != nil {
		cx.Log().Error("nothing was launched", "error", err)
		return nil
	}
	for _, one := range launched {
		s.live[one.Task] = mezzo.Pending
	}
	if len(launched) > 0 {
		s.memory.Edit(func(m *memory) { m.Launched = number })
		s.wanted -= len(launched)
	}
	return nil
}

// TurnEnd says anew what is wanted, if that has changed, and ends what is too many: the newest first.
func (s *service) TurnEnd(cx *mezzo.Cx) error {
	missing := max(s.count()-len(s.live), 0)
	if missing != s.wanted {
		if err := cx.Want(mezzo.DemandFor(demand, s.task(0), uint32(missing))); err != nil {
			return err
		}
		s.wanted = missing
	}
	ids := s.ids()
	for _, id := range ids[min(s.count(), len(ids)):] {
		if s.live[id] == mezzo.Stopping {
			continue
		}
		if err := cx.Kill(id); err != nil {
			return err
		}
		s.live[id] = mezzo.Stopping
	}
	return nil
}

// ids are the live tasks, the oldest first.
func (s *service) ids() []string {
	ids := make([]string, 0, len(s.live))
	for id := range s.live {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return ids
}

func (s *service) show(w http.ResponseWriter, _ *http.Request) {
	type task struct {
		ID    string          `json:"id"`
		State mezzo.TaskState `json:"state"`
	}
	tasks := []task{}
	for _, id := range s.ids() {
		tasks = append(tasks, task{id, s.live[id]})
	}
	web.JSON(w, http.StatusOK, map[string]any{"count": s.count(), "tasks": tasks})
}

func (s *service) scale(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Count *int `json:"count"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Count == nil {
		web.Error(w, http.StatusBadRequest, "malformed", `the body is {"count": NUMBER}`)
		return
	}
	if err := checkCount(*body.Count); err != nil {
		web.Error(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	s.memory.Edit(func(m *memory) { m.Count = body.Count })
	web.Cx(r).Log().Info("the count is set", "count", *body.Count, "by", web.Principal(r))
	s.show(w, r)
}

func init() { web.Export(start) }

func main() {}
