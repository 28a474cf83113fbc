// Package mezzo is the Go SDK for Mezzo frameworks: schedulers that run inside the master of a Mezzo cluster, as
// WebAssembly components.
//
// A framework is a type that implements [Framework]; it embeds [Base] and overrides what it wants to hear about. The
// program names it in an init function and has an empty main:
//
//	type hello struct{ mezzo.Base }
//
//	func start(cx *mezzo.Cx, setup mezzo.Setup) (*hello, error) {
//		cx.Log().Info(setup.Name + " has started")
//		return &hello{}, nil
//	}
//
//	func init() { mezzo.Export(start) }
//
//	func main() {}
//
// Build it with "mezzo framework build", and upload the component with "mezzo framework install". One that serves HTTP
// uses the package web on top of this one; the package mezzotest plays a cluster for go test.
//
// # Turns
//
// Each call into a framework is a turn, and a turn is a transaction: everything that the framework asked for through
// its [Cx] is checked at once and becomes real, all of it, when the turn returns. An error or a panic undoes it, and
// counts as a fault of the framework: a new instance starts, with what the last good turn left in [Value] and [Table].
// What the master refuses is an error of the type [Refusal]; a framework that can go on handles it and returns nil.
//
// # Goroutines
//
// They work: a turn may start as many as it likes and wait for them. Between turns nothing runs, so a goroutine that a
// turn leaves behind goes on in a later turn, if that one waits for something. A Cx belongs to its turn, and to one
// goroutine at a time.
//
// Time is the turn's: time.Now moves only by what the turn sleeps, and sleeping takes no time. Use [Cx.SetTimer] to be
// woken.
package mezzo
