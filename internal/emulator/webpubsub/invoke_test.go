package webpubsub

import (
	"net/http"
	"testing"
)

// TestInvoke: an event whose answer is for the sender.
func TestInvoke(t *testing.T) {
	a, r := startApp(t, Options{Events: []string{}})
	a.on("add", says(200, "application/json", "3"))
	a.on("note", says(204, "", ""))
	a.on("fail", says(500, "", ""))
	p := r.dial(login{subprotocol: subprotocolJSON})
	p.send(`{"type":"invoke","invocationId":"i1","target":"event","event":"add","data":[1,2]}`)
	p.gets(`{"type":"invokeResponse","invocationId":"i1","success":true,"dataType":"json","data":3}`)
	if e := a.wait("add"); e.body != "[1,2]" {
		t.Errorf("event %+v", e)
	}
	p.send(`{"type":"invoke","invocationId":"i1","target":"event","event":"note","data":1}`)
	p.gets(`{"type":"invokeResponse","invocationId":"i1","success":true}`)
	a.wait("note")
	p.send(`{"type":"invoke","invocationId":"i2","target":"event","event":"fail","data":1}`)
	p.gets(`{"type":"invokeResponse","invocationId":"i2","success":false,"error":{"name":"InternalServerError","message":"The event handler did not handle the event."}}`)
	a.wait("fail")
	for _, frame := range []string{
		`{"type":"invoke","invocationId":"i3","target":"group","event":"add","data":1}`,
		`{"type":"invoke","invocationId":"i3","target":"event","data":1}`,
	} {
		p.send(frame)
		if f := p.read(); f["success"] != false || f["invocationId"] != "i3" {
			t.Errorf("%s: %v", frame, f)
		}
	}

	// One that waits does not hold up the others, has its id for itself, and can be given up.
	release := make(chan struct{})
	a.on("slow", func(_ http.ResponseWriter, req *http.Request) {
		a.mu.Unlock()
		defer a.mu.Lock()
		select {
		case <-release:
		case <-req.Context().Done():
		}
	})
	for i := range maxInvocations {
		p.send(`{"type":"invoke","invocationId":"s` + itoa(i) + `","target":"event","event":"slow","data":1}`)
		a.wait("slow")
	}
	p.quiet()
	p.send(`{"type":"invoke","invocationId":"s0","target":"event","event":"add","data":1}`)
	if f := p.read(); f["invocationId"] != "s0" || f["success"] != false {
		t.Errorf("same id: %v", f)
	}
	p.send(`{"type":"invoke","invocationId":"more","target":"event","event":"add","data":1}`)
	if f := p.read(); f["invocationId"] != "more" || f["success"] != false {
		t.Errorf("one too many: %v", f)
	}
	for i := 1; i < maxInvocations; i++ {
		p.send(`{"type":"cancelInvocation","invocationId":"s` + itoa(i) + `"}`)
	}
	p.send(`{"type":"cancelInvocation","invocationId":"none"}`)
	p.quiet()
	close(release)
	p.gets(`{"type":"invokeResponse","invocationId":"s0","success":true}`)
	p.quiet()
}
