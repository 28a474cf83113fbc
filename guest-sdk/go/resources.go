package mezzo

import (
	"maps"
	"math"
	"math/bits"
)

// Resources are amounts of what an agent can give. The zero value is nothing.
type Resources struct {
	// Thousandths of one processor.
	CPUMilli uint64
	// Main memory.
	MemoryBytes uint64
	// Space below the agent's work folder.
	DiskBytes uint64
	// Whole devices.
	GPUs uint32
	// How many ports, not which: the master picks them unless a task asks for one by number.
	Ports uint32
	// What else the agents declare, by name, in thousandths of one unit.
	Custom map[string]uint64
}

// Holds says whether part can be taken out of r.
func (r Resources) Holds(part Resources) bool {
	for name, amount := range part.Custom {
		if amount > r.Custom[name] {
			return false
		}
	}
	return part.CPUMilli <= r.CPUMilli && part.MemoryBytes <= r.MemoryBytes && part.DiskBytes <= r.DiskBytes &&
		part.GPUs <= r.GPUs && part.Ports <= r.Ports
}

// IsZero says whether r is nothing.
func (r Resources) IsZero() bool { return Resources{}.Holds(r) }

// Minus is r without part; what is not there stays at 0.
func (r Resources) Minus(part Resources) Resources {
	return r.with(part, func(own, amount uint64) uint64 { return own - min(own, amount) })
}

// Plus is both together. It saturates, as all arithmetic on resources does.
func (r Resources) Plus(part Resources) Resources {
	return r.with(part, func(own, amount uint64) uint64 {
		sum, carry := bits.Add64(own, amount, 0)
		return sum | -carry
	})
}

// Times is r so many times.
func (r Resources) Times(count uint32) Resources {
	return r.with(r, func(own, _ uint64) uint64 {
		high, low := bits.Mul64(own, uint64(count))
		if high > 0 {
			return math.MaxUint64
		}
		return low
	})
}

// AtMost is the smaller of both amounts of each resource.
func (r Resources) AtMost(limit Resources) Resources {
	all := r
	all.Custom = maps.Clone(r.Custom)
	for name, amount := range all.Custom {
		all.Custom[name] = min(amount, limit.Custom[name])
	}
	all.CPUMilli = min(r.CPUMilli, limit.CPUMilli)
	all.MemoryBytes = min(r.MemoryBytes, limit.MemoryBytes)
	all.DiskBytes = min(r.DiskBytes, limit.DiskBytes)
	all.GPUs = min(r.GPUs, limit.GPUs)
	all.Ports = min(r.Ports, limit.Ports)
	return all
}

// with combines r and other, resource by resource.
func (r Resources) with(other Resources, combine func(own, amount uint64) uint64) Resources {
	small := func(own, amount uint32) uint32 {
		return uint32(min(combine(uint64(own), uint64(amount)), math.MaxUint32))
	}
	all := Resources{
		CPUMilli:    combine(r.CPUMilli, other.CPUMilli),
		MemoryBytes: combine(r.MemoryBytes, other.MemoryBytes),
		DiskBytes:   combine(r.DiskBytes, other.DiskBytes),
		GPUs:        small(r.GPUs, other.GPUs),
		Ports:       small(r.Ports, other.Ports),
	}
	if len(other.Custom) == 0 {
		all.Custom = r.Custom
		return all
	}
	all.Custom = maps.Clone(r.Custom)
	if all.Custom == nil {
		all.Custom = map[string]uint64{}
	}
	for name, amount := range other.Custom {
		all.Custom[name] = combine(r.Custom[name], amount)
	}
	return all
}
