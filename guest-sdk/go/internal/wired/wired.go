// Package wired joins the packages mezzo and web inside a component, without either showing it to frameworks. Only one
// that links the package web may import the contract's streams and export its web interface.
package wired

// What package mezzo puts here.
var (
	// Host is the master, as a mezzo.Host.
	Host any
	// Instance is the *mezzo.Instance, once it has started.
	Instance any
	// FailTurn undoes the turn and ends the instance; the error is the fault's message.
	FailTurn func(error)
	// ExplainPanic is to be deferred around whatever a framework does: a panic becomes a fault with its words.
	ExplainPanic func()
)

// What package web puts here.
var (
	StreamWrite func(request uint64, chunk []byte) bool
	StreamClose func(request uint64)
)
