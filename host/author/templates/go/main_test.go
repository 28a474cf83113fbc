package main

import (
	"slices"
	"testing"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
)

func TestItGreetsOnceAndNotAgainAfterARestart(t *testing.T) {
	cluster := mezzotest.New(t, start)
	cluster.AddAgent(mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB})
	cluster.RunToEnd(nil)
	if !slices.Contains(cluster.Log(), "greeting is finished") {
		t.Errorf("the log is %q", cluster.Log())
	}

	cluster.Restart()
	cluster.Settle()
	if n := len(cluster.History()); n != 1 {
		t.Errorf("it has greeted %d times", n)
	}
}
