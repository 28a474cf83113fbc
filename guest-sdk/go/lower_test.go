package mezzo

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mezzo.dev/go/internal/canon"
)

// The sizes are checked whenever a list is written; here with everything in it.
func TestListsHaveTheContractsSizes(t *testing.T) {
	canon.Enter()
	defer canon.Leave()
	resources := Resources{CPUMilli: 1, Custom: map[string]uint64{"seat": 1}}
	task := Task{
		ID: "t", Workload: Container{"image", []string{"a"}}, Resources: resources, Env: map[string]string{"A": "1"},
		Labels: Labels{"k": "v"}, Ports: []Port{{"p", 1}, {"q", 0}}, Files: []File{{"f", []byte{1}, true}},
		RuntimeMax: time.Second, Mounts: []Mount{{"v", "p"}}, Extra: Labels{"k": "v"},
	}
	other := task
	other.Workload, other.RuntimeMax = nil, 0
	canon.LowerList([]Placement{{1, "d", task}, {1, "", other}}, placementBytes, 8, lowerPlacement)
	canon.LowerList([]Demand{{
		Name: "d", Each: resources, Conditions: []Condition{{"a", Equals, "b"}}, FixedPorts: []uint16{1, 2, 3},
		Reservations: []ReservationID{1},
	}, {}}, demandBytes, 8, lowerDemand)
}

func TestResourcesAreReadAsTheyWereWritten(t *testing.T) {
	canon.Enter()
	defer canon.Leave()
	w := canon.NewWriter(40, 8)
	r := canon.ReadAt(w.At())
	want := Resources{1, 2, 3, 4, 5, map[string]uint64{"seat": 6, "tape": 7}}
	lowerResources(&w, want)
	if got := liftResources(&r); !got.Holds(want) || !want.Holds(got) || r.At() != w.At() {
		t.Errorf("%+v", got)
	}
}

// The layouts of lift.go and lower.go follow the contract by hand. When it changes, look at both, run host-test, and put
// the new digest here.
func TestTheContractIsTheOneThatTheLayoutsFollow(t *testing.T) {
	const known = "bf0617e0b6495ead7d99ea3cdb565d9f1587cced38bc5926fd906d4ab0869edf"
	files, err := filepath.Glob("../../wit/*.wit")
	if err != nil || len(files) == 0 {
		t.Skip("the contract is not beside the SDK")
	}
	slices.Sort(files)
	hash := sha256.New()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(text)
	}
	if digest := hex.EncodeToString(hash.Sum(nil)); digest != known {
		t.Errorf("the contract has changed: its digest is %s", digest)
	}
}

func TestDurationsAreRoundedUp(t *testing.T) {
	for duration, want := range map[time.Duration]uint64{
		-time.Second: 0, 0: 0, 1: 1, time.Millisecond: 1, 1500 * time.Microsecond: 2,
	} {
		if got := milliseconds(duration); got != want {
			t.Errorf("%v are %d ms, not %d", duration, got, want)
		}
	}
}
