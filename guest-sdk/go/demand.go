package mezzo

import "fmt"

// A Demand is what the framework still wants. Without a demand there are no offers.
type Demand struct {
	// Unique in the list: how placements, explain and the metrics name it. 1 to 128 of the characters of a task's ID.
	Name string
	// The least that an offer must hold to be worth sending.
	Each Resources
	// How many such pieces are wanted; a demand of none is left out of the list.
	Count uint32
	// All must hold on an agent.
	Conditions []Condition
	// Ports that must be free on the agent, by number.
	FixedPorts []uint16
	// Which agents come first.
	Prefer Preference
	// Serve it from these reservations and from nothing else: a task comes back to its volumes. Reservations that a
	// framework made are offered only to demands that name them. At most 1,000.
	Reservations []ReservationID
	// Offer all Count pieces in one turn, or nothing: a gang. If there is not enough at once, the master collects it,
	// one gang at a time, until a deadline. Launch them with one call of [Cx.Launch].
	Together bool
	// Within the role; 0 for what is not urgent. A demand above 0 that fits nowhere takes back what preemptible tasks
	// of demands of a smaller priority use.
	Priority int32
}

// DemandFor is a demand for what the task needs, count times: its resources and its ports.
func DemandFor(name string, task Task, count uint32) Demand {
	demand := Demand{Name: name, Each: task.Needs(), Count: count}
	for _, port := range task.Ports {
		if port.Fixed != 0 {
			demand.FixedPorts = append(demand.FixedPorts, port.Fixed)
		}
	}
	return demand
}

// Preference says which agents come first when more fit than one turn can carry.
type Preference uint8

// The preferences.
const (
	// Whichever are quickest to find.
	AnyAgent Preference = iota
	// The ones with the largest free share: spreads.
	MostFree
	// The ones with the smallest free share on which it fits: packs.
	LeastFree
)

// A Condition is a test of one agent attribute, or of @hostname, @region, @zone, @runtime.
type Condition struct {
	// The attribute's name, or one of the four above.
	Attribute string
	// How to compare.
	Test Comparison
	// With what. A regular expression for Matches: no look-around, no back-references, at most 256 bytes.
	Value string
}

// Comparison is how a condition compares.
type Comparison uint8

// The comparisons.
const (
	// The value is this text (a number is compared as a number).
	Equals Comparison = iota
	// The attribute is absent or has another value.
	Differs
	// The whole text fits the regular expression.
	Matches
	// The attribute is a number and not smaller.
	AtLeast
	// The attribute is a number and not larger.
	AtMost
	// There is such an attribute; the condition's value is not looked at.
	Present
	// There is no such attribute; the condition's value is not looked at.
	Absent
)

var comparisons = [...]string{"equals", "differs", "matches", "at-least", "at-most", "present", "absent"}

// String is the comparison's name in the contract.
func (c Comparison) String() string { return nameOf(comparisons[:], c, "Comparison") }

func nameOf[E ~uint8](names []string, value E, kind string) string {
	if int(value) < len(names) {
		return names[value]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(value))
}
