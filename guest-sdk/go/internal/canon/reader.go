package canon

import "unsafe"

// A Reader reads a value's parts one after the other.
type Reader struct{ at uint32 }

// ReadAt begins at an address.
func ReadAt(address uint32) Reader { return Reader{address} }

// At is the address of what comes next.
func (r *Reader) At() uint32 { return r.at }

// Align skips to a multiple of align, a power of two.
func (r *Reader) Align(align uint32) { r.at = alignUp(r.at, align) }

// U8 reads a u8, a bool or the case of an enum.
func (r *Reader) U8() uint8 { return next[uint8](r) }

// U16 reads a u16.
func (r *Reader) U16() uint16 { return next[uint16](r) }

// U32 reads a u32.
func (r *Reader) U32() uint32 { return next[uint32](r) }

// U64 reads a u64.
func (r *Reader) U64() uint64 { return next[uint64](r) }

// Bool reads a bool.
func (r *Reader) Bool() bool { return r.U8() != 0 }

// Text reads a string and copies it.
func (r *Reader) Text() string {
	address, n := r.U32(), r.U32()
	return TextAt(address, n)
}

// Bytes reads a list<u8> and copies it.
func (r *Reader) Bytes() []byte {
	address, n := r.U32(), r.U32()
	return BytesAt(address, n)
}

// TextAt copies the string that lies at an address.
func TextAt(address, n uint32) string { return string(view(address, n)) }

// BytesAt copies the bytes that lie at an address.
func BytesAt(address, n uint32) []byte {
	if n == 0 {
		return nil
	}
	return append([]byte(nil), view(address, n)...)
}

// List reads a list whose elements are aligned to align.
func List[T any](r *Reader, align uint32, lift func(*Reader) T) []T {
	address, n := r.U32(), r.U32()
	return ListAt(address, n, align, lift)
}

// ListAt reads the n elements that lie at an address.
func ListAt[T any](address, n, align uint32, lift func(*Reader) T) []T {
	if n == 0 {
		return nil
	}
	items := make([]T, n)
	element := ReadAt(address)
	for i := range items {
		element.Align(align)
		items[i] = lift(&element)
	}
	return items
}

// Variant reads the case of a variant, and gives a reader of its payload. All payloads together have that alignment
// and size; the variant's own alignment is the same.
func (r *Reader) Variant(align, size uint32) (uint8, Reader) {
	r.Align(align)
	which := r.U8()
	r.Align(align)
	payload := *r
	r.at += size
	r.Align(align)
	return which, payload
}

// Option reads an option of what lift reads.
func Option[T any](r *Reader, align, size uint32, lift func(*Reader) T) (value T, there bool) {
	which, payload := r.Variant(align, size)
	if which != 0 {
		value, there = lift(&payload), true
	}
	return value, there
}

func next[T uint8 | uint16 | uint32 | uint64](r *Reader) T {
	size := uint32(unsafe.Sizeof(T(0)))
	r.Align(size)
	value := *(*T)(pointer(r.at, size))
	r.at += size
	return value
}

func alignUp(at, align uint32) uint32 { return (at + align - 1) &^ (align - 1) }

// view is valid until the arena is used again.
func view(address, n uint32) []byte {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(address, n)), n)
}
