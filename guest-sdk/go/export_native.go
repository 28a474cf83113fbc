//go:build !wasm

package mezzo

func export(Start[Framework]) {}
