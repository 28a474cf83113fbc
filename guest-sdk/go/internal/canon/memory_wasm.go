package canon

import (
	_ "os" // whose own first calls to the host come before this package's init
	"unsafe"
)

func init() { floor = current }

// sbrk takes memory from the system, next to the heap and unknown to it. Reaching it needs the linker's flag
// -checklinkname=0, which mezzo framework build gives.
//
//go:linkname sbrk runtime.sbrk
func sbrk(size uintptr) unsafe.Pointer

func grow(size uint32) uint32 { return uint32(uintptr(sbrk(uintptr(size)))) }

//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uint32) uint32 {
	return Reallocate(old, oldSize, align, size)
}

func pointer(address, _ uint32) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(nil), address) }

// Trap ends the instance: the turn is undone.
func Trap()
