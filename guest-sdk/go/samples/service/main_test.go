package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
)

func newCluster(t *testing.T) *mezzotest.Cluster[*service] {
	cluster := mezzotest.NewWithOptions(t, start, `{"count": 3}`)
	cluster.AddAgent(mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB})
	cluster.Settle()
	return cluster
}

func checkLive(t *testing.T, cluster *mezzotest.Cluster[*service], want ...string) {
	t.Helper()
	if live := cluster.Live(); !slices.Equal(live, want) {
		t.Errorf("live are %v, not %v", live, want)
	}
}

func TestWhatEndsIsReplaced(t *testing.T) {
	cluster := newCluster(t)
	checkLive(t, cluster, "service-1", "service-2", "service-3")
	cluster.Finish("service-2", 1)
	cluster.Lose("service-3")
	cluster.Settle()
	checkLive(t, cluster, "service-1", "service-4", "service-5")

	cluster.Restart()
	cluster.Finish("service-1", 0)
	cluster.Settle()
	checkLive(t, cluster, "service-4", "service-5", "service-6")
	if n := len(cluster.Demands()); n != 0 {
		t.Errorf("with all there, it still wants %v", cluster.Demands())
	}
}

func TestTheCountIsSetOverTheAPIAndKept(t *testing.T) {
	cluster := newCluster(t)
	status, answer := cluster.Request(http.MethodPut, "/count", `{"count": 1}`)
	if status != http.StatusOK || !strings.Contains(answer, `"count":1`) {
		t.Fatalf("%d %s", status, answer)
	}
	cluster.Settle()
	checkLive(t, cluster, "service-1")

	cluster.Restart()
	cluster.Settle()
	checkLive(t, cluster, "service-1")
	status, answer = cluster.Request(http.MethodGet, "/", "")
	if want := `{"count":1,"tasks":[{"id":"service-1","state":"pending"}]}` + "\n"; status != 200 || answer != want {
		t.Errorf("%d %s", status, answer)
	}
}

func TestBadRequestsChangeNothing(t *testing.T) {
	cluster := newCluster(t)
	for _, body := range []string{"", "{}", `{"count": -1}`, `{"count": 1001}`, `{"count": "x"}`} {
		if status, answer := cluster.Request(http.MethodPut, "/count", body); status != http.StatusBadRequest {
			t.Errorf("%q answers %d %s", body, status, answer)
		}
	}
	if status, _ := cluster.Request(http.MethodPost, "/count", ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST answers %d", status)
	}
	cluster.Settle()
	checkLive(t, cluster, "service-1", "service-2", "service-3")
}

func TestOptionsAreChecked(t *testing.T) {
	for _, options := range []string{`{"count": -1}`, `{"counts": 1}`, `[]`} {
		if err := mezzotest.NewWithOptions(t, start, options).Start(); err == nil {
			t.Errorf("%s is accepted", options)
		}
	}
}
