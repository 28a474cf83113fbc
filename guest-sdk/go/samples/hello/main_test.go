package main

import (
	"slices"
	"testing"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
)

var agent = mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB}

func TestItGreetsOnceAndNotAgainAfterARestart(t *testing.T) {
	cluster := mezzotest.New(t, start)
	cluster.Settle()
	if demands := cluster.Demands(); len(demands) != 1 || demands[0].Name != "greeting" {
		t.Fatalf("before there is an agent it wants %v", demands)
	}

	cluster.AddAgent(agent)
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

func TestATurnThatFailsLaunchesNothingAndIsDoneAgain(t *testing.T) {
	cluster := mezzotest.New(t, start)
	cluster.AddAgent(agent)
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	cluster.FaultAtCall(99)
	cluster.Turn()
	if len(cluster.Faults()) != 1 || len(cluster.History()) != 0 {
		t.Errorf("after the fault: %v, %v", cluster.Faults(), cluster.History())
	}
	cluster.Settle()
	if n := len(cluster.History()); n != 1 {
		t.Errorf("it has greeted %d times", n)
	}
}
