package mezzo

import (
	"strings"
	"testing"
)

func TestOptionsNameWhatIsWrong(t *testing.T) {
	type options struct {
		Size uint32 `json:"size"`
	}
	read := options{Size: 7}
	for _, text := range []string{"", " ", "{}"} {
		if err := DecodeOptions(text, &read); err != nil || read.Size != 7 {
			t.Errorf("%q is read as %d, %v", text, read.Size, err)
		}
	}
	for text, want := range map[string]string{
		`{"size": -3}`:   "size",
		`{"seize": 3}`:   `unknown field "seize"`,
		`{"size": 3} {}`: "after the object",
		`[`:              "unexpected EOF",
	} {
		if err := DecodeOptions(text, &read); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
