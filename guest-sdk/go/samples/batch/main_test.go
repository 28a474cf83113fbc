package main

import (
	"slices"
	"testing"
	"time"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
)

func newCluster(t *testing.T, options string) *mezzotest.Cluster[*batch] {
	cluster := mezzotest.NewWithOptions(t, start, options)
	cluster.AddAgent(mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB})
	return cluster
}

func checkOver(t *testing.T, cluster *mezzotest.Cluster[*batch], want string) {
	t.Helper()
	if log := cluster.Log(); log[len(log)-1] != want {
		t.Errorf("the log is %q", log)
	}
	if demands, live := cluster.Demands(), cluster.Live(); len(demands) > 0 || len(live) > 0 {
		t.Errorf("it still wants %v and runs %v", demands, live)
	}
}

func TestAllIsRunOnce(t *testing.T) {
	cluster := newCluster(t, `{"count": 5, "parallel": 2}`)
	cluster.Settle()
	if live := cluster.Live(); !slices.Equal(live, []string{"batch-0-1", "batch-1-1"}) {
		t.Errorf("at first, live are %v", live)
	}
	cluster.RunToEnd(nil)
	checkOver(t, cluster, "all is over: 5 done, 0 failed")
	cluster.Restart()
	cluster.Settle()
	if n := len(cluster.History()); n != 5 {
		t.Errorf("%d tasks were launched", n)
	}
}

func TestWhatFailsIsTriedAgainAfterAWhile(t *testing.T) {
	cluster := newCluster(t, `{"count": 1, "attempts": 3}`)
	cluster.RunToEnd(func(mezzo.Task) int { return 1 })
	for _, wait := range []time.Duration{time.Second, 2 * time.Second} {
		cluster.Advance(wait - time.Millisecond)
		cluster.Settle()
		if live := cluster.Live(); len(live) > 0 {
			t.Errorf("%v are there before %v have passed", live, wait)
		}
		cluster.Restart() // what it waits for outlives it
		cluster.Advance(time.Millisecond)
		cluster.RunToEnd(func(mezzo.Task) int { return 1 })
	}
	checkOver(t, cluster, "all is over: 0 done, 1 failed")
	if n := len(cluster.History()); n != 3 {
		t.Errorf("%d tasks were launched", n)
	}
}

func TestWhatIsLostIsTriedAgainAtOnceAndDoesNotCount(t *testing.T) {
	cluster := newCluster(t, `{"count": 1, "attempts": 1}`)
	cluster.Settle()
	cluster.Lose("batch-0-1")
	cluster.Settle()
	cluster.Drain("batch-0-2")
	cluster.RunToEnd(nil)
	checkOver(t, cluster, "all is over: 1 done, 0 failed")
}
