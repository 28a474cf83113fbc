package mezzo

// Export says which framework the program is. Call it once, in an init function. Outside of a component it does
// nothing, so that the same program runs its tests natively.
func Export[F Framework](start Start[F]) {
	export(func(cx *Cx, setup Setup) (Framework, error) { return start(cx, setup) })
}
