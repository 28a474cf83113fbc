// Package canon lays values out in memory as the component model's canonical ABI wants them, and reads them from there.
//
// It owns the memory that crosses the boundary: an arena outside the Go heap. What the values mean, and in which order
// a record has its fields, is the business of whoever calls a [Reader] or a [Writer]; both align by themselves, so that
// naming the fields in the contract's order is all there is to it.
//
// Why an arena. While the host writes into the guest it may only call the guest's cabi_realloc, and that must not call
// the host: the component model traps if it does. A Go allocation may start or end a garbage collection, which reads
// the clock, which is a call to the host. So nothing here allocates on the Go heap while the host is writing.
//
// Outside of a component the same code works on a plain slice of bytes, so that layouts are tested with go test.
package canon
