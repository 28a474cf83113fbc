package mezzo

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A StateError is durable state that is there but cannot be read as the type asked for.
type StateError struct {
	Key string
	Err error
}

// Error names the key and the reason.
func (e *StateError) Error() string {
	return fmt.Sprintf("the state under the key %q cannot be read: %v", e.Key, e.Err)
}

// Unwrap is the reason.
func (e *StateError) Unwrap() error { return e.Err }

// journal knows what has to be written at the end of the turn, so that ten edits cost one write.
type journal struct{ dirty []flusher }

type flusher interface{ flush(host Host) error }

func (j *journal) note(what flusher) { j.dirty = append(j.dirty, what) }

func (j *journal) flush(host Host) error {
	dirty := j.dirty
	j.dirty = nil
	for _, what := range dirty {
		if err := what.flush(host); err != nil {
			return fmt.Errorf("what this turn changed cannot be kept: %w", err)
		}
	}
	return nil
}

// A Value is one durable value under one key, kept as JSON. It is read once; what a turn changes is written when the
// turn ends. If it cannot be kept (the quota, a value too large) the turn fails, with an error that names the limit.
type Value[T any] struct {
	key     string
	value   T
	dirty   bool
	journal *journal
}

// LoadValue reads the key; one that is not there is the zero value.
func LoadValue[T any](cx *Cx, key string) (*Value[T], error) {
	v := &Value[T]{key: key, journal: cx.journal}
	if bytes, there := cx.State(key); there {
		if err := json.Unmarshal(bytes, &v.value); err != nil {
			return nil, &StateError{key, err}
		}
	}
	return v, nil
}

// Get is the value as the turn has left it so far. Change it with Set or Edit: what is changed behind a pointer, in a
// slice or in a map of it is not noticed.
func (v *Value[T]) Get() T { return v.value }

// Set replaces it.
func (v *Value[T]) Set(value T) { v.Edit(func(own *T) { *own = value }) }

// Edit changes it.
func (v *Value[T]) Edit(change func(value *T)) {
	if !v.dirty {
		v.dirty = true
		v.journal.note(v)
	}
	change(&v.value)
}

func (v *Value[T]) flush(host Host) error {
	v.dirty = false
	return write(host, v.key, v.value)
}

// A Key is what names a row of a [Table]. Numbers are written so that their order is that of the keys.
type Key interface{ ~string | ~uint64 }

// A Table is durable rows under one prefix, each kept as JSON under a key of its own. All of them are read once; what a
// turn changes is written when the turn ends, row by row.
type Table[K Key, V any] struct {
	prefix  string
	rows    map[K]V
	dirty   map[K]struct{}
	journal *journal
}

// LoadTable reads all rows. Give each table a prefix of its own that ends with a separator, such as "job/".
func LoadTable[K Key, V any](cx *Cx, prefix string) (*Table[K, V], error) {
	t := &Table[K, V]{prefix: prefix, rows: map[K]V{}, dirty: map[K]struct{}{}, journal: cx.journal}
	for name, bytes := range cx.ScanState(prefix) {
		key, err := decodeKey[K](strings.TrimPrefix(name, prefix))
		if err != nil {
			return nil, &StateError{name, err}
		}
		var row V
		if err := json.Unmarshal(bytes, &row); err != nil {
			return nil, &StateError{name, err}
		}
		t.rows[key] = row
	}
	return t, nil
}

// Len is how many rows there are.
func (t *Table[K, V]) Len() int { return len(t.rows) }

// Get is one row.
func (t *Table[K, V]) Get(key K) (row V, there bool) {
	row, there = t.rows[key]
	return row, there
}

// All are the rows as they are now, in the order of their keys.
func (t *Table[K, V]) All() iter.Seq2[K, V] {
	keys := slices.Sorted(maps.Keys(t.rows))
	return func(yield func(K, V) bool) {
		for _, key := range keys {
			if row, there := t.rows[key]; there && !yield(key, row) {
				return
			}
		}
	}
}

// Set puts a row in, or replaces it.
func (t *Table[K, V]) Set(key K, row V) {
	t.rows[key] = row
	t.touch(key)
}

// Edit changes a row; false if there is no such row.
func (t *Table[K, V]) Edit(key K, change func(row *V)) bool {
	row, there := t.rows[key]
	if there {
		change(&row)
		t.Set(key, row)
	}
	return there
}

// Delete takes a row out, if it is there.
func (t *Table[K, V]) Delete(key K) {
	if _, there := t.rows[key]; there {
		delete(t.rows, key)
		t.touch(key)
	}
}

func (t *Table[K, V]) touch(key K) {
	if len(t.dirty) == 0 {
		t.journal.note(t)
	}
	t.dirty[key] = struct{}{}
}

func (t *Table[K, V]) flush(host Host) error {
	keys := slices.Sorted(maps.Keys(t.dirty))
	clear(t.dirty)
	for _, key := range keys {
		name := t.prefix + encodeKey(key)
		row, there := t.rows[key]
		if !there {
			host.StateDelete(name)
		} else if err := write(host, name, row); err != nil {
			return err
		}
	}
	return nil
}

func encodeKey[K Key](key K) string {
	value := reflect.ValueOf(key)
	if value.Kind() == reflect.String {
		return value.String()
	}
	return fmt.Sprintf("%020d", value.Uint())
}

func decodeKey[K Key](text string) (key K, err error) {
	value := reflect.ValueOf(&key).Elem()
	if value.Kind() == reflect.String {
		value.SetString(text)
		return key, nil
	}
	number, err := strconv.ParseUint(text, 10, 64)
	value.SetUint(number)
	return key, err
}

func write(host Host, key string, value any) error {
	bytes, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%q is no JSON: %w", key, err)
	}
	return host.StateSet(key, bytes)
}
