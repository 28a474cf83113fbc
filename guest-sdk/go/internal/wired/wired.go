// Package wired joins the packages mezzo and web inside a component, without either showing it to frameworks. Only one
// that links the package web may import the contract's streams and export its web interface.
package wired

// Instance is the component's *mezzo.Instance, once it has started.
var Instance any

// What package web puts here.
var (
	StreamWrite func(request uint64, chunk []byte) bool
	StreamClose func(request uint64)
)
