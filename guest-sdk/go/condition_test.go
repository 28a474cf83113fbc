package mezzo

import "testing"

var conditionAgent = Agent{
	Hostname: "n1.example",
	Zone:     "z1",
	Attributes: []Attribute{
		{"cores", Milli(8_000)},
		{"rack", Text("r7")},
	},
	Runtimes: []string{"process", "module"},
}

func TestConditions(t *testing.T) {
	for _, c := range []struct {
		condition Condition
		want      bool
	}{
		{Condition{"rack", Equals, "r7"}, true},
		{Condition{"rack", Equals, "r"}, false},
		{Condition{"rack", Matches, "r[0-9]"}, true},
		{Condition{"rack", Matches, "r"}, false},
		{Condition{"rack", Matches, "r7|x"}, true},
		{Condition{"rack", Matches, "("}, false},
		{Condition{"rack", AtLeast, "1"}, false},
		{Condition{"cores", AtLeast, "8"}, true},
		{Condition{"cores", AtMost, "7.999"}, false},
		{Condition{"cores", Equals, "8.0"}, true},
		{Condition{"cores", Matches, "8[.]0+"}, true},
		{Condition{"gpu", Absent, ""}, true},
		{Condition{"gpu", Differs, "h100"}, true},
		{Condition{"@zone", Equals, "z1"}, true},
		{Condition{"@region", Present, ""}, false},
		{Condition{"@runtime", Equals, "module"}, true},
		{Condition{"@runtime", Differs, "module"}, false},
		{Condition{"@runtime", Equals, "container"}, false},
		{Condition{"@hostname", Matches, ".*\\.example"}, true},
	} {
		if got := c.condition.Holds(conditionAgent); got != c.want {
			t.Errorf("%v %v %q: %t", c.condition.Attribute, c.condition.Test, c.condition.Value, got)
		}
	}
}

func TestNumbersAreReadExactlyOrNotAtAll(t *testing.T) {
	for text, want := range map[string]Milli{"1.5": 1_500, "-0.001": -1, "7": 7_000} {
		if got, ok := ParseMilli(text); !ok || got != want {
			t.Errorf("%q is read as %v %t", text, got, ok)
		}
	}
	for _, bad := range []string{"", ".5", "1.0005", "1e3", "+1", "--1", "9223372036854775807"} {
		if got, ok := ParseMilli(bad); ok {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
	if Milli(-1_500).String() != "-1.500" || Milli(10_000).String() != "10.000" {
		t.Errorf("%v %v", Milli(-1_500), Milli(10_000))
	}
}
