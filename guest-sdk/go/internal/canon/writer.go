package canon

import (
	"fmt"
	"unsafe"
)

// A Writer writes a value's parts one after the other, into memory of the arena.
type Writer struct{ at uint32 }

// NewWriter takes memory for a value of that size.
func NewWriter(size, align uint32) Writer { return Writer{Allocate(size, align)} }

// At is the address of what comes next.
func (w *Writer) At() uint32 { return w.at }

// Align skips to a multiple of align, a power of two.
func (w *Writer) Align(align uint32) { w.at = alignUp(w.at, align) }

// U8 writes a u8 or the case of an enum.
func (w *Writer) U8(value uint8) { put(w, value) }

// U16 writes a u16.
func (w *Writer) U16(value uint16) { put(w, value) }

// U32 writes a u32.
func (w *Writer) U32(value uint32) { put(w, value) }

// U64 writes a u64.
func (w *Writer) U64(value uint64) { put(w, value) }

// Bool writes a bool.
func (w *Writer) Bool(value bool) {
	w.U8(*(*uint8)(unsafe.Pointer(&value)))
}

// Text writes a string.
func (w *Writer) Text(text string) {
	address, n := LowerText(text)
	w.U32(address)
	w.U32(n)
}

// Bytes writes a list<u8>.
func (w *Writer) Bytes(bytes []byte) {
	address, n := LowerBytes(bytes)
	w.U32(address)
	w.U32(n)
}

// Variant writes the case of a variant, and gives a writer of its payload; see [Reader.Variant].
func (w *Writer) Variant(which uint8, align, size uint32) Writer {
	w.Align(align)
	w.U8(which)
	w.Align(align)
	payload := *w
	w.at += size
	w.Align(align)
	return payload
}

// LowerText copies a string into the arena.
func LowerText(text string) (address, n uint32) {
	n = uint32(len(text))
	address = Allocate(n, 1)
	copy(view(address, n), text)
	return address, n
}

// LowerBytes copies bytes into the arena.
func LowerBytes(bytes []byte) (address, n uint32) {
	n = uint32(len(bytes))
	address = Allocate(n, 1)
	copy(view(address, n), bytes)
	return address, n
}

// WriteList writes a list whose elements have that size and alignment.
func WriteList[T any](w *Writer, items []T, size, align uint32, lower func(*Writer, T)) {
	address, n := LowerList(items, size, align, lower)
	w.U32(address)
	w.U32(n)
}

// LowerList puts a list into the arena. It panics if lower writes more or less than size: then the layout is wrong.
func LowerList[T any](items []T, size, align uint32, lower func(*Writer, T)) (address, n uint32) {
	n = uint32(len(items))
	address = Allocate(n*size, align)
	element := Writer{address}
	for i := range items {
		lower(&element, items[i])
		element.Align(align)
		if written := element.at - address - uint32(i)*size; written != size {
			panic(fmt.Sprintf("mezzo: a %T has %d bytes in the contract's layout, not %d", items[i], written, size))
		}
	}
	return address, n
}

func put[T uint8 | uint16 | uint32 | uint64](w *Writer, value T) {
	size := uint32(unsafe.Sizeof(T(0)))
	w.Align(size)
	*(*T)(pointer(w.at, size)) = value
	w.at += size
}
