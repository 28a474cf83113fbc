package mezzo

import (
	"regexp"
	"strconv"
	"strings"
)

// The longest regular expression of a condition, in bytes.
const expressionBytesMax = 256

// HoldAll says whether all conditions hold on an agent, as the master sees it: a framework with several demands must
// know which of them an offer is good for. A condition that cannot be read does not hold.
func HoldAll(conditions []Condition, agent Agent) bool {
	for _, condition := range conditions {
		if !condition.Holds(agent) {
			return false
		}
	}
	return true
}

// Valid says whether the value can be read: a regular expression of at most 256 bytes, a number with up to three
// places.
func (c Condition) Valid() bool {
	switch c.Test {
	case Matches:
		_, err := regexp.Compile(c.Value)
		return err == nil && len(c.Value) <= expressionBytesMax
	case AtLeast, AtMost:
		_, ok := ParseMilli(c.Value)
		return ok
	default:
		return true
	}
}

// Holds says whether the condition holds on an agent.
func (c Condition) Holds(agent Agent) bool {
	switch c.Attribute {
	case "@hostname":
		return c.holdsText(agent.Hostname, true)
	case "@region":
		return c.holdsText(agent.Region, agent.Region != "")
	case "@zone":
		return c.holdsText(agent.Zone, agent.Zone != "")
	case "@runtime":
		return c.holdsRuntime(agent.Runtimes)
	}
	switch value := agent.Attribute(c.Attribute).(type) {
	case Text:
		return c.holdsText(string(value), true)
	case Milli:
		return c.holdsNumber(value)
	default:
		return c.holdsText("", false)
	}
}

// holdsRuntime: an agent has several runtimes. Equals and Matches ask for any of them, Differs for none.
func (c Condition) holdsRuntime(runtimes []string) bool {
	switch c.Test {
	case Differs:
		return !Condition{c.Attribute, Equals, c.Value}.holdsRuntime(runtimes)
	case Absent:
		return len(runtimes) == 0
	}
	for _, runtime := range runtimes {
		if c.holdsText(runtime, true) {
			return true
		}
	}
	return false
}

func (c Condition) holdsText(text string, there bool) bool {
	switch c.Test {
	case Present:
		return there
	case Absent:
		return !there
	case Equals:
		return there && text == c.Value
	case Differs:
		return !there || text != c.Value
	case Matches:
		return there && wholeMatch(c.Value, text)
	default:
		return false
	}
}

func (c Condition) holdsNumber(number Milli) bool {
	wanted, ok := ParseMilli(c.Value)
	switch c.Test {
	case Present:
		return true
	case Equals:
		return ok && number == wanted
	case Differs:
		return !ok || number != wanted
	case Matches:
		return wholeMatch(c.Value, number.String())
	case AtLeast:
		return ok && number >= wanted
	case AtMost:
		return ok && number <= wanted
	default:
		return false
	}
}

func wholeMatch(expression, text string) bool {
	compiled, err := regexp.Compile("^(?:" + expression + ")$")
	return err == nil && compiled.MatchString(text)
}

// ParseMilli reads a decimal number with up to three places.
func ParseMilli(text string) (Milli, bool) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, places, _ := strings.Cut(digits, ".")
	if whole == "" || len(places) > 3 || strings.Trim(whole+places, "0123456789") != "" {
		return 0, false
	}
	number, err := strconv.ParseInt(whole+places+"000"[len(places):], 10, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		number = -number
	}
	return Milli(number), true
}
