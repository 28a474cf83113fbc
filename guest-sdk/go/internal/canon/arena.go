package canon

// The arena gives memory away from the front to the back of a few chunks, and takes all of it back at once when nobody
// uses any of it: when no call across the boundary is under way. One call can be under way inside another one, because
// reading a result allocates on the Go heap, which may let another goroutine run, which may call the host: hence the
// count.

const (
	// The first chunk; each further one is twice as large as the one before it.
	chunkBytes = 256 << 10
	// No chunk needs to be larger, except for one value that is.
	chunkBytesMax = 16 << 20
	// Far more than fit into the memory of a component.
	chunksMax = 128
)

type chunk struct{ base, size uint32 }

type mark struct {
	chunk int
	used  uint32
}

// The table has a fixed size, because none of this may allocate.
var (
	chunks      [chunksMax]chunk
	chunksCount int
	current     mark
	// What lies before it was given away before Go's packages were initialised. It belongs to the adapter between
	// WASI's two versions, for ever.
	floor mark
	// Calls that are under way.
	underWay int
	// The result of an export is being read by the host, as the last thing of a call.
	resultHeld bool
)

// Enter says that memory of the arena is going to be used, until Leave.
func Enter() { underWay++ }

// Leave says that it is no longer used.
func Leave() {
	underWay--
	if underWay == 0 {
		current = floor
	}
}

// EnterExport is Enter for a call from the host, whose arguments are in the arena already. It ends with Leave when the
// arguments have been read.
func EnterExport() {
	Enter()
	if resultHeld {
		resultHeld = false
		underWay--
	}
}

// HoldResult keeps the memory of an export's result until the host calls again.
func HoldResult() {
	Enter()
	resultHeld = true
}

// Allocate takes memory; its content is whatever was there. No memory has an address too, one that is aligned.
func Allocate(size, align uint32) uint32 {
	if size == 0 {
		return align
	}
	for {
		if current.chunk == chunksCount && !addChunk(size) {
			panic("mezzo: out of memory: what goes between the framework and the master has no room")
		}
		own := chunks[current.chunk]
		at := alignUp(own.base+current.used, align) - own.base
		if at <= own.size && size <= own.size-at {
			current.used = at + size
			return own.base + at
		}
		current = mark{chunk: current.chunk + 1}
	}
}

// Reallocate is the canonical ABI's cabi_realloc.
func Reallocate(old, oldSize, align, size uint32) uint32 {
	at := Allocate(size, align)
	copy(view(at, size), view(old, min(oldSize, size)))
	return at
}

func addChunk(needed uint32) bool {
	if chunksCount == chunksMax {
		return false
	}
	size := uint32(chunkBytes)
	if chunksCount > 0 {
		size = min(2*chunks[chunksCount-1].size, chunkBytesMax)
	}
	size = max(size, alignUp(needed, 64<<10))
	base := grow(size)
	if base == 0 {
		return false
	}
	chunks[chunksCount] = chunk{base, size}
	chunksCount++
	return true
}
