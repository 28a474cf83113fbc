package mezzo

import "fmt"

// A Refusal is why the master refused a call. Nothing of the call took effect. Find it with errors.As, or ask for its
// kind with errors.Is:
//
//	if errors.Is(err, mezzo.ErrInsufficient) { … }
type Refusal struct {
	Kind RefusalKind
	// For people; it names the field, the thing or the limit.
	Message string
}

// Error is the kind and the message.
func (r *Refusal) Error() string { return r.Kind.Error() + ": " + r.Message }

// Unwrap is the kind.
func (r *Refusal) Unwrap() error { return r.Kind }

// RefusalKind is the kind of a [Refusal]; it is an error for errors.Is.
type RefusalKind uint8

// The kinds.
const (
	// No such offer, task, agent, demand, reservation or volume is this framework's.
	ErrUnknown RefusalKind = iota
	// The offer has too little left of the named resource.
	ErrInsufficient
	// The argument breaks a rule; the message names the field.
	ErrInvalid
	// The framework's role or principal may not do this.
	ErrForbidden
	// A limit of this framework is reached; the message names it.
	ErrLimit
	// Anything that a later master adds.
	ErrOther
)

var refusalKinds = [...]string{"unknown", "insufficient", "invalid", "forbidden", "limit", "refused"}

// Error is the kind's name in the contract.
func (k RefusalKind) Error() string { return nameOf(refusalKinds[:], k, "RefusalKind") }

// Refuse makes a refusal, for those who play the master in tests.
func Refuse(kind RefusalKind, format string, arguments ...any) error {
	return &Refusal{kind, fmt.Sprintf(format, arguments...)}
}
