package relay

import (
	"bufio"
	"io"
	"testing"
	"time"
)

// TestOrdinary checks that a connection that was taken out of its loop can be read
// and written at once, that a deadline holds for a call under way, and that it can
// still be joined.
func TestOrdinary(t *testing.T) {
	r := start(t, Options{})
	far, conn := r.connect(t, r.door)
	defer far.Close()
	if _, err := io.WriteString(far, "hello\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if text, err := in.ReadString('\n'); text != "hello\n" {
		t.Fatalf("got %q, %v", text, err)
	}
	conn, err := Ordinary(conn)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	if _, err := io.WriteString(conn, "written meanwhile\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := bufio.NewReader(far).ReadString('\n'); text != "written meanwhile\n" {
		t.Fatalf("got %q, %v", text, err)
	}
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the read went on behind its deadline")
	}
	again, err := Ordinary(conn)
	if err != nil || again != conn {
		t.Errorf("a second time: %v, %v", again, err)
	}
	conn.Close()
}
