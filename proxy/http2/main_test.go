package http2

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds every wait of a test. No test waits for it to pass.
const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
