package mezzotest

// Limits are what the cluster enforces; the defaults are the master's.
type Limits struct {
	// Launches in one turn.
	LaunchesPerTurn int
	// Tasks that have not been forgotten.
	Tasks int
	// Offers in one turn.
	OffersPerTurn int
	// Statuses in one turn.
	StatusesPerTurn int
	// Bytes that the framework hands over in one turn.
	TurnBytes int
	// Bytes of durable state.
	StateBytes int
	// Bytes of one durable value.
	ValueBytes int
	// Demands at a time.
	Demands int
	// Reservations with which it may still make another.
	Reservations int
	// Timers at a time.
	Timers int
}

func defaultLimits() Limits {
	return Limits{
		LaunchesPerTurn: 10_000,
		Tasks:           100_000,
		OffersPerTurn:   1_000,
		StatusesPerTurn: 1_000,
		TurnBytes:       16 << 20,
		StateBytes:      64 << 20,
		ValueBytes:      1 << 20,
		Demands:         1_000,
		Reservations:    10_000,
		Timers:          1_000,
	}
}
