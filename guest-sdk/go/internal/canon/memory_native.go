//go:build !wasm

package canon

import "unsafe"

// The memory of tests: addresses are indexes.
var memory []byte

const memoryBytesMax = 64 << 20

func grow(size uint32) uint32 {
	if memory == nil {
		// The first bytes are left out, so that no address is 0.
		memory = make([]byte, 8, memoryBytesMax)
	}
	base := len(memory)
	if base+int(size) > cap(memory) {
		return 0
	}
	memory = memory[:base+int(size)]
	return uint32(base)
}

func pointer(address, size uint32) unsafe.Pointer {
	return unsafe.Pointer(&memory[address : address+size][0])
}
