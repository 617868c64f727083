package azure

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRESTError(t *testing.T) {
	e := RESTError{Code: "BadRequest", Message: `a "b" & <c>`, Target: "hub", Details: []RESTError{{Code: "X", Message: "y"}}}
	want := `{"code":"BadRequest","message":"a \"b\" & <c>","target":"hub","details":[{"code":"X","message":"y"}]}`
	if got := string(e.JSON()); got != want {
		t.Errorf("got %s", got)
	}
	var back RESTError
	if err := json.Unmarshal(e.JSON(), &back); err != nil || !cmp.Equal(e, back) {
		t.Errorf("read back as %+v, %v", back, err)
	}
}
