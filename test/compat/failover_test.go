//go:build compat && linux

package compat

import "testing"

// TestFailover: the primary is killed while clients of every kind are on it. They are asked to come again, do so, and are
// on the secondary; when the primary is back, later ones are on it at once, and the others are led home.
func TestFailover(t *testing.T) {
	for i, first := range servers {
		second := servers[(i+1)%len(servers)]
		t.Run("primary="+first.name+",secondary="+second.name, func(t *testing.T) {
			primary, port := first.start(t, 0)
			secondary, secondPort := second.start(t, 0)
			r := startRouter(t, "primary-1", onFreePorts("--primary", localURL(port), "--secondary", localURL(secondPort))...)
			r.waitHealthy("secondary-1")

			crowd := make([]peer, len(clients))
			for i, c := range clients {
				crowd[i] = c.start(t)
				opensOn(r, crowd[i], primary)
			}
			primary.kill()
			for i, c := range crowd {
				c.wants(clients[i].lost())
				opensOn(r, c, secondary)
			}

			primary, _ = first.start(t, port)
			r.waitHealthy("primary-1")
			late := clients[0].start(t)
			opensOn(r, late, primary)
			for i, c := range crowd {
				c.wants(clients[i].moved())
				opensOn(r, c, primary)
			}

			// A client that does not answer the good-bye would hold up the end.
			if code := r.terminate(); code != 0 {
				t.Errorf("router ended with exit code %d", code)
			}
			for _, c := range append(crowd, late) {
				c.wants(event{Event: "close", Code: 1001, Reason: "shutting down"})
			}
		})
	}
}

// opensOn opens a session and checks where it is.
func opensOn(r *router, c, up peer) {
	r.t.Helper()
	c.do(command{Do: "open", URL: r.url + "/"})
	if e := c.next(); e.Event != "open" {
		r.t.Fatalf("%s: %+v", c.name, e)
	}
	if e := up.next(); e.Event != "session" {
		r.t.Fatalf("%s: %+v", up.name, e)
	}
	c.echoes(message{text: true, data: []byte("where am I?")})
}

// TestRefused: without any upstream the answer is plain HTTP, which clients take for what it is; the same client is let in
// later.
func TestRefused(t *testing.T) {
	up, port := servers[0].start(t, 0)
	up.kill()
	r := startRouter(t, "", onFreePorts("--primary", localURL(port))...)
	var crowd []peer
	for _, c := range clients {
		p := c.start(t)
		p.do(command{Do: "open", URL: r.url + "/"})
		want := event{Event: "refused"}
		if c.status {
			want.Status = 503
		}
		p.wants(want)
		crowd = append(crowd, p)
	}
	up, _ = servers[0].start(t, port)
	r.waitHealthy("primary-1")
	for _, c := range crowd {
		opensOn(r, c, up)
	}
}
