package canon

import (
	"slices"
	"strings"
	"testing"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	Enter()
	defer Leave()
	w := NewWriter(64, 8)
	at := w.At()
	w.U8(1)
	w.U64(1 << 60)
	w.U16(2)
	w.U32(3)
	w.Bool(true)
	w.Text("é")
	w.Bytes([]byte{4, 5})
	WriteList(&w, []string{"a", "", "c"}, 8, 4, (*Writer).Text)
	if size := w.At() - at; size != 52 {
		t.Errorf("it takes %d bytes", size)
	}

	r := ReadAt(at)
	if a, b, c, d, e := r.U8(), r.U64(), r.U16(), r.U32(), r.Bool(); a != 1 || b != 1<<60 || c != 2 || d != 3 || !e {
		t.Errorf("numbers are read as %d %d %d %d %t", a, b, c, d, e)
	}
	if text, bytes := r.Text(), r.Bytes(); text != "é" || !slices.Equal(bytes, []byte{4, 5}) {
		t.Errorf("texts are read as %q %v", text, bytes)
	}
	if list := List(&r, 4, (*Reader).Text); !slices.Equal(list, []string{"a", "", "c"}) {
		t.Errorf("a list is read as %q", list)
	}
	if r.At() != w.At() {
		t.Errorf("reading ends at %d, writing at %d", r.At(), w.At())
	}
}

func TestOptionsTakeTheirRoomWhetherThereOrNot(t *testing.T) {
	Enter()
	defer Leave()
	w := NewWriter(64, 8)
	r := ReadAt(w.At())
	there := w.Variant(1, 8, 8)
	there.U64(7)
	w.Variant(0, 4, 4)
	w.U8(9)
	if value, ok := Option(&r, 8, 8, (*Reader).U64); !ok || value != 7 {
		t.Errorf("%d %t", value, ok)
	}
	if value, ok := Option(&r, 4, 4, (*Reader).U32); ok || value != 0 {
		t.Errorf("%d %t", value, ok)
	}
	if value := r.U8(); value != 9 {
		t.Errorf("what comes after is %d", value)
	}
}

func TestAListOfAWrongSizePanics(t *testing.T) {
	Enter()
	defer Leave()
	defer func() {
		if message, _ := recover().(string); !strings.Contains(message, "has 4 bytes in the contract's layout, not 8") {
			t.Errorf("it says %q", message)
		}
	}()
	LowerList([]uint32{1}, 8, 4, (*Writer).U32)
}

func TestTheArenaIsUsedAgainWhenNobodyUsesIt(t *testing.T) {
	Enter()
	first := Allocate(100, 8)
	Enter() // another goroutine, while the first call's answer is read
	second := Allocate(100, 8)
	Leave()
	third := Allocate(100, 8)
	Leave()
	if first == second || second == third || first == third {
		t.Errorf("memory was given away twice: %d %d %d", first, second, third)
	}
	Enter()
	if again := Allocate(100, 8); again != first {
		t.Errorf("at first there was %d, now %d", first, again)
	}
	Leave()
}

func TestAnExportsResultIsKeptUntilTheNextCall(t *testing.T) {
	EnterExport()
	Leave()
	HoldResult()
	result := Allocate(8, 8)
	Enter()
	if other := Allocate(8, 8); other == result {
		t.Error("it was given away")
	}
	Leave()
	EnterExport()
	Leave()
	Enter()
	if again := Allocate(8, 8); again != result {
		t.Errorf("it is still kept: %d %d", again, result)
	}
	Leave()
}

func TestLargeValuesGetChunksOfTheirOwn(t *testing.T) {
	Enter()
	defer Leave()
	small, large := Allocate(1, 1), Allocate(3*chunkBytes, 8)
	copy(view(large, 3), "abc")
	moved := Reallocate(large, 3, 1, chunkBytes)
	if got := TextAt(moved, 3); got != "abc" || moved == large || large == small {
		t.Errorf("%q at %d, from %d", got, moved, large)
	}
	if Allocate(0, 8) != 8 {
		t.Error("nothing has no aligned address")
	}
}
