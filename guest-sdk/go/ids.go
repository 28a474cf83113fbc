package mezzo

import "time"

// AgentID names one machine that runs tasks. Never reused.
type AgentID uint64

// OfferID names one offer. Never reused.
type OfferID uint64

// ReservationID names a part of an agent that is kept for a role. Never reused; the zero value is none.
type ReservationID uint64

// RunID names one run of a task. Never reused.
type RunID uint64

// StreamID names a response that goes on after the turn that began it. Never reused.
type StreamID uint64

// Amounts of bytes.
const (
	KiB uint64 = 1 << 10
	MiB uint64 = 1 << 20
	GiB uint64 = 1 << 30
)

// Labels are notes for people and for the framework itself, by key; the master does not look at them.
type Labels map[string]string

// instant reads the contract's milliseconds since 1970.
func instant(ms uint64) time.Time { return time.UnixMilli(int64(ms)) }

// milliseconds is what the contract says for a duration: never less than asked for, and not below 0.
func milliseconds(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	ms := uint64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}
