package admin

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// Begun is the answer to orders that begin a drain.
type Begun struct {
	drain.Status
	// Existed says that there was such a drain already, which was not asked to
	// begin again.
	Existed bool `json:"existed"`
}

const (
	// longestWhy is the longest text about why an upstream is disabled, in bytes.
	longestWhy = 200
	// settling is how long an answer waits for an order to be obeyed.
	settling = time.Second
)

// drain begins a drain.
func (d *Door) drain(v *visit) (int, any, error) {
	plan := drain.Plan{Selection: drain.Selection{Upstream: v.of}}
	s := &plan.Selection
	orders, err := v.orders(
		share("share", &s.Share),
		integer("count", 1, 1_000_000_000, &s.Count),
		duration("older_than", "5m", &s.OlderThan),
		path("path", &s.Path),
		network("client", &s.Client),
		integer("rate", 1, drain.MaxRate, &plan.Rate),
		choice("order", `"idle-first", "oldest-first" or "random"`, &plan.Order, (*drain.Order).UnmarshalText),
		integer("close_code", 1000, 4999, &plan.Code),
		words("reason", &plan.Reason, drain.MaxReason),
		duration("deadline", "10m", &plan.Deadline),
		choice("then", `"leave" or "close"`, &plan.Then, (*drain.Then).UnmarshalText),
		toggle("force", &plan.Force),
	)
	if err != nil {
		return 0, nil, err
	}
	begun, existed, err := d.options.Proxy.Drain(plan)
	if err != nil {
		return 0, nil, d.refused(err, "clients would find no place, or come back to where they were; "+
			"with force its sessions are closed all the same")
	}
	d.audit(v, "drain", orders, "upstream", v.of, "drain", begun.ID())
	status := fasthttp.StatusAccepted
	if existed {
		status = fasthttp.StatusOK
	}
	return status, Begun{begun.Status(), existed}, nil
}

// disable keeps new sessions from an upstream.
func (d *Door) disable(v *visit) (int, any, error) {
	var why string
	var force bool
	orders, err := v.orders(words("why", &why, longestWhy), toggle("force", &force))
	if err != nil {
		return 0, nil, err
	}
	if err := d.options.Proxy.Disable(v.of, cmp.Or(why, "by operator"), force); err != nil {
		return 0, nil, d.refused(err, "with force it is disabled all the same, and new clients get 503 until another one is up")
	}
	d.audit(v, "disable", orders, "upstream", v.of)
	return d.tellUpstream(v)
}

// enable lets an upstream have new sessions again.
func (d *Door) enable(v *visit) (int, any, error) {
	if _, err := v.orders(); err != nil {
		return 0, nil, err
	}
	if err := d.options.Proxy.Enable(v.of); err != nil {
		return 0, nil, d.refused(err, "")
	}
	d.audit(v, "enable", "", "upstream", v.of)
	return d.tellUpstream(v)
}

// failover practises the loss of an upstream.
func (d *Door) failover(v *visit) (int, any, error) {
	var lasting time.Duration
	var rate int
	var force bool
	orders, err := v.orders(duration("for", "30s", &lasting), integer("rate", 1, drain.MaxRate, &rate), toggle("force", &force))
	if err != nil {
		return 0, nil, err
	}
	if lasting == 0 {
		return 0, nil, refuse(fasthttp.StatusBadRequest, `for is missing; expected a time such as "30s"`)
	}
	before := d.running()
	begun, err := d.options.Proxy.Drill(v.of, lasting, rate, force)
	if err != nil {
		return 0, nil, d.refused(err, "with force it is treated as down all the same, and new clients get 503 meanwhile")
	}
	d.audit(v, "failover", orders, "upstream", v.of, "drain", begun.ID())
	status, existed := fasthttp.StatusAccepted, slices.Contains(before, begun.ID())
	if existed {
		status = fasthttp.StatusOK
	}
	return status, Begun{begun.Status(), existed}, nil
}

// refused makes an answer of an error with which the router refused an order.
// force says what it would do for the last usable upstream.
func (d *Door) refused(err error, force string) error {
	switch {
	case errors.Is(err, proxy.ErrLastUsable):
		return refuse(fasthttp.StatusConflict, "%v: %s", err, force)
	case errors.As(err, new(*proxy.UnknownUpstream)), errors.Is(err, drain.ErrUnknown):
		return err
	default: // mistakes in the plan
		return refuse(fasthttp.StatusBadRequest, "%v", err)
	}
}

// pause, resume and cancel are orders to a drain. Their answers tell how it
// stands when it has obeyed.
func (d *Door) pause(v *visit) (int, any, error) {
	return d.order(v, "pause", func(to *drain.Drain) error { to.Pause(); return nil },
		func(s drain.State) bool { return s == drain.Paused })
}

func (d *Door) resume(v *visit) (int, any, error) {
	return d.order(v, "resume", func(to *drain.Drain) error { to.Resume(); return nil },
		func(s drain.State) bool { return s != drain.Paused })
}

func (d *Door) cancel(v *visit) (int, any, error) {
	return d.order(v, "cancel", func(to *drain.Drain) error { _, err := d.options.Proxy.CancelDrain(to.ID()); return err },
		func(drain.State) bool { return false })
}

func (d *Door) order(v *visit, what string, give func(*drain.Drain) error, obeyed func(drain.State) bool) (int, any, error) {
	if _, err := v.orders(); err != nil {
		return 0, nil, err
	}
	to, err := d.options.Proxy.Drains().Get(v.of)
	if err != nil {
		return 0, nil, err
	}
	if s := to.Status(); s.State.Final() {
		return 0, nil, refuse(fasthttp.StatusConflict, "drain %s has ended: it is %v", s.ID, s.State)
	}
	if err := give(to); err != nil {
		return 0, nil, err
	}
	d.audit(v, what, "", "drain", v.of)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for bound := time.Now().Add(settling); ; <-look.C {
		if s := to.Status(); s.State.Final() || obeyed(s.State) || time.Now().After(bound) {
			return fasthttp.StatusOK, s, nil
		}
	}
}

// reload takes on the configuration.
func (d *Door) reload(v *visit) (int, any, error) {
	if _, err := v.orders(); err != nil {
		return 0, nil, err
	}
	if d.options.Reload == nil {
		return 0, nil, refuse(fasthttp.StatusConflict, "there is no configuration to reload")
	}
	if err := d.options.Reload("asked for at the admin address"); err != nil {
		return 0, nil, refuse(fasthttp.StatusUnprocessableEntity, "%v", err)
	}
	d.audit(v, "reload", "")
	if d.options.Reloads == nil {
		return fasthttp.StatusOK, struct{}{}, nil
	}
	return fasthttp.StatusOK, d.options.Reloads(), nil
}

// audit notes an order that was accepted; with is what the body said.
func (d *Door) audit(v *visit, order, with string, about ...any) {
	attrs := append([]any{"order", order}, about...)
	if with != "" {
		attrs = append(attrs, "with", with)
	}
	from := v.ctx.RemoteAddr()
	d.options.Logger.Info("operator's order", append(attrs, "from", from.Network()+" "+from.String())...)
}

// running are the IDs of the drains that have not ended.
func (d *Door) running() (ids []string) {
	for _, s := range d.options.Proxy.Drains().List() {
		if !s.State.Final() {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
