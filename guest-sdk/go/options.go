package mezzo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// DecodeOptions reads the operator's options, a JSON object, into options. A field that is not there keeps its value,
// one that the type does not know is an error. The error names the field, fit for a start to return.
func DecodeOptions(text string, options any) error {
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	decoder := json.NewDecoder(bytes.NewBufferString(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(options)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something after the object")
		}
	}
	if err != nil {
		return fmt.Errorf("the options are not accepted: %w", err)
	}
	return nil
}
