// Package mezzotest plays a cluster for one framework, so that go test can test it natively: no WebAssembly, no
// processes and no waiting. Time is virtual and moves only when the test says so.
//
// It keeps the rules that a framework can notice: offers come only while there is demand that fits, are cut to the
// demand, and are not repeated until something improved; launches are all or nothing; reservations that a framework
// made are offered only to demands that name them, and gangs all at once or not at all; a turn commits as a whole; an
// error, a panic, or a fault that the test asked for, undoes the turn and starts a new instance from the durable state.
//
//	func TestGreetsOnce(t *testing.T) {
//		cluster := mezzotest.New(t, start)
//		cluster.AddAgent(mezzo.Resources{CPUMilli: 1000, MemoryBytes: mezzo.GiB})
//		cluster.RunToEnd(nil)
//		if n := len(cluster.History()); n != 1 {
//			t.Errorf("%d tasks were launched", n)
//		}
//	}
//
// What it does not play: roles, quota, other frameworks, and preemption, which happens only when a test says so.
package mezzotest
