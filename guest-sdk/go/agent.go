package mezzo

import (
	"fmt"
	"time"
)

// An Agent is what stays true of a machine between offers.
type Agent struct {
	ID AgentID
	// As the agent reported it.
	Hostname string
	// Where its tasks can be reached: a name or an IP address.
	Address string
	// The larger and the smaller fault domain, if the operator named them.
	Region, Zone string
	// What conditions can test, sorted by name.
	Attributes []Attribute
	// All it has, used or not.
	Total Resources
	// The kinds of workload it can run: process, container, module.
	Runtimes []string
	// When its tasks will be asked to end, because an operator drains it; the zero value if nobody does.
	LeavingAt time.Time
}

// Attribute finds an attribute's value; nil if there is no such attribute.
func (a Agent) Attribute(name string) AttributeValue {
	for _, attribute := range a.Attributes {
		if attribute.Name == name {
			return attribute.Value
		}
	}
	return nil
}

// An Attribute is a fact about an agent that placement can test; it is not used up.
type Attribute struct {
	Name  string
	Value AttributeValue
}

// An AttributeValue is [Text] or a [Milli].
type AttributeValue interface {
	fmt.Stringer
	isAttributeValue()
}

// Text is compared as it stands, letter by letter.
type Text string

// Milli is a number of thousandths.
type Milli int64

func (Text) isAttributeValue()  {}
func (Milli) isAttributeValue() {}

// String is the text itself.
func (t Text) String() string { return string(t) }

// String is the number with three places, as conditions see it.
func (m Milli) String() string {
	sign, magnitude := "", uint64(m)
	if m < 0 {
		sign, magnitude = "-", -magnitude
	}
	return fmt.Sprintf("%s%d.%03d", sign, magnitude/1000, magnitude%1000)
}

// An Offer is what one agent has free for this framework until the turn ends.
type Offer struct {
	// Names it in a placement.
	ID OfferID
	// Whose resources these are.
	Agent AgentID
	// How much can be launched from it in this turn.
	Free Resources
	// The reservation that it is of, or 0: what is unreserved. Its Ports are the agent's.
	Reservation ReservationID
	// That reservation's volumes that no task uses.
	Volumes []string
}

// A Reservation is a part of an agent that is kept for a role, whatever runs on it. One that an operator or an agent's
// configuration made is offered to all demands of the role and of those below it; one that a framework made, only to
// demands that name it.
type Reservation struct {
	ID    ReservationID
	Agent AgentID
	// For whom.
	Role string
	// Who made it: framework/…, a principal, or agent-configuration.
	MadeBy string
	// How much it is, used or not; without ports.
	Amount Resources
	// What of it no task, volume or smaller reservation uses.
	Free Resources
	// In the order of their names.
	Volumes []Volume
	// As it was made.
	Labels Labels
	// When it ends by itself if nothing uses it then; the zero value if it does not.
	Until time.Time
	// It was given back, and is gone as soon as nothing uses it.
	Ending bool
}

// A Volume is data that outlives tasks, on disk space of a reservation.
type Volume struct {
	// Unique in its reservation.
	Name string
	// Counts as used of the reservation's disk.
	SizeBytes uint64
	// Being destroyed: it cannot be mounted any more, and its space is not free yet.
	Destroying bool
	// Whether a task has it mounted.
	InUse bool
}
