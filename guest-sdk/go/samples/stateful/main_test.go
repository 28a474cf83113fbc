package main

import (
	"slices"
	"testing"

	mezzo "mezzo.dev/go"
	"mezzo.dev/go/mezzotest"
)

var agent = mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB, DiskBytes: mezzo.GiB}

func checkLive(t *testing.T, cluster *mezzotest.Cluster[*stateful], want string) {
	t.Helper()
	if live := cluster.Live(); !slices.Equal(live, []string{want}) {
		t.Fatalf("live are %v, not %s", live, want)
	}
}

func TestItComesBackToItsVolume(t *testing.T) {
	cluster := mezzotest.New(t, start)
	cluster.AddAgent(agent)
	cluster.Settle()
	home := cluster.Reservations()[0]
	if home.Volumes[0].SizeBytes != dataBytes || home.Free.DiskBytes != 0 {
		t.Fatalf("it has kept %+v", home)
	}
	on := cluster.Task("store-1").Status.Agent

	cluster.AddAgent(agent)
	cluster.Finish("store-1", 1)
	cluster.Settle()
	if now := cluster.Task("store-2").Status.Agent; now != on {
		t.Errorf("it is on agent %d, its data on %d", now, on)
	}
	cluster.Restart()
	cluster.Settle()
	checkLive(t, cluster, "store-2")
	cluster.Finish("store-2", 1)
	cluster.Restart()
	cluster.Settle()
	checkLive(t, cluster, "store-3")
	if all := cluster.Reservations(); len(all) != 1 || all[0].ID != home.ID {
		t.Errorf("it has kept %+v", all)
	}
}

func TestWithoutItsAgentItBeginsAnew(t *testing.T) {
	cluster := mezzotest.New(t, start)
	first := cluster.AddAgent(agent)
	cluster.Settle()
	second := cluster.AddAgent(agent)
	cluster.LoseAgent(first)
	cluster.Settle()
	if on := cluster.Task("store-2").Status.Agent; on != second {
		t.Errorf("it is on agent %d", on)
	}
}

func TestOtherOptionsReplaceTheTaskInPlace(t *testing.T) {
	cluster := mezzotest.New(t, start)
	cluster.AddAgent(agent)
	cluster.Settle()
	cluster.Run("store-1")
	cluster.SetOptions("{}")
	cluster.Settle()
	checkLive(t, cluster, "store-1")

	cluster.SetOptions(`{"command": ["sleep", "7"]}`)
	cluster.Settle()
	checkLive(t, cluster, "store-2")
	task := cluster.Task("store-2")
	if argv := task.Workload.(mezzo.Process).Argv; !slices.Equal(argv, []string{"sleep", "7"}) {
		t.Errorf("it runs %q", argv)
	}
	if len(cluster.Reservations()) != 1 || task.Reservation != cluster.Reservations()[0].ID {
		t.Errorf("it is not on its reservation: %+v", cluster.Reservations())
	}
	cluster.Restart()
	cluster.Settle()
	checkLive(t, cluster, "store-2")
}
