package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

// drainEvery is the time between two looks at a drain that is waited for.
const drainEvery = 200 * time.Millisecond

func newDrainCommand() *cobra.Command {
	var (
		share, path, client, order, then, reason string
		number, rate, code                       int
		olderThan, deadline                      time.Duration
		force, wait                              bool
	)
	cmd := &cobra.Command{
		Use:   "drain NAME",
		Short: "Close the sessions of an upstream at a pace",
		Long: `drain disables an upstream and closes its sessions, so that their clients
reconnect elsewhere: at most --rate in any second, each between two frames, and
only while another upstream takes its client. The upstream stays disabled until
"pointsman enable".

With --share, --count, --older-than, --path or --client only some sessions are
closed, and the upstream goes on taking new ones: clients go where new ones go.

The same drain twice is one drain; the second call changes its rate. The last
upstream that takes sessions is not drained without --force.

With --wait it shows the progress until the end, and the exit code is 1 unless
all sessions have gone. Ctrl-C ends the waiting and not the drain.`,
		Example: `  # Out for maintenance:
  pointsman drain east --wait && restart-east && pointsman enable east

  # A fifth of the old sessions, slowly:
  pointsman drain east --share 20% --older-than 12h --rate 5`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&share, "share", "", "close this `part` of the selected sessions, such as 20%")
	f.IntVar(&number, "count", 0, "close this `number` of the selected sessions")
	f.DurationVar(&olderThan, "older-than", 0, "close sessions of at least this `age`")
	f.StringVar(&path, "path", "", "close sessions whose path begins with `prefix`")
	f.StringVar(&client, "client", "", "close sessions of clients in a `network` such as 10.1.0.0/16, or of one address")
	f.IntVar(&rate, "rate", 0, "most closes per `second` (default 50)")
	f.StringVar(&order, "order", "", "`order` of the closes: idle-first, oldest-first or random (default idle-first)")
	f.DurationVar(&deadline, "deadline", 0, "end the drain after this `time` (default none)")
	f.StringVar(&then, "then", "", "`what` becomes of the rest at the deadline: leave or close (default leave)")
	f.StringVar(&reason, "reason", "", "`text` of the Close frame (default \"moved by operator\")")
	f.IntVar(&code, "close-code", 0, "`code` of the Close frame (default 1012)")
	f.BoolVar(&force, "force", false, "also if clients would find no place")
	f.BoolVar(&wait, "wait", false, "show the progress until the drain has ended")
	return newCallCommand(cmd, func(c *call, args []string) error {
		plan := make(given)
		plan.take(cmd, "share", "share", share)
		plan.take(cmd, "count", "count", number)
		plan.take(cmd, "older-than", "older_than", olderThan.String())
		plan.take(cmd, "path", "path", path)
		plan.take(cmd, "client", "client", client)
		plan.take(cmd, "rate", "rate", rate)
		plan.take(cmd, "order", "order", order)
		plan.take(cmd, "deadline", "deadline", deadline.String())
		plan.take(cmd, "then", "then", then)
		plan.take(cmd, "reason", "reason", reason)
		plan.take(cmd, "close-code", "close_code", code)
		plan.take(cmd, "force", "force", force)
		var d admin.Begun
		answer, err := c.post(c.ctx, "/upstreams/"+url.PathEscape(args[0])+"/drain", plan, &d)
		if err != nil {
			return err
		}
		if wait {
			return c.await(&d)
		}
		return c.tell(answer, line("%s", beginning(&d)))
	})
}

// beginning says in words that a drain has begun.
func beginning(d *admin.Begun) string {
	begins := "begins"
	if d.Existed {
		begins = "is under way already"
	}
	return fmt.Sprintf("drain %s %s: %s, at most %d per second, %v", d.ID, begins, d.Selection, d.Rate, d.Order)
}

// await shows the progress of a drain until its end.
func (c *call) await(begun *admin.Begun) error {
	told := c.stdout
	if c.asJSON {
		told = c.stderr
	}
	progress := newDemoProgress(told)
	progress.note("%s", beginning(begun))
	path := "/drains/" + begun.ID
	tick := time.NewTicker(drainEvery)
	defer tick.Stop()
	next := time.Now() // of the lines that stay
	for {
		var d drain.Status
		answer, err := c.follow(c.ctx, path, &d)
		switch {
		case errors.Is(c.ctx.Err(), context.Canceled):
			progress.clear()
			return fmt.Errorf("no longer waiting; drain %s goes on, \"pointsman cancel %s\" ends it", begun.ID, begun.ID)
		case err != nil:
			progress.clear()
			return err
		case d.State.Final():
			progress.note("%s", progressOf(&d))
			if c.asJSON {
				if _, err := c.stdout.Write(answer); err != nil {
					return err
				}
			}
			if d.State != drain.Done {
				return fmt.Errorf("drain %s is %v: %s; %s left", d.ID, d.State, printable(d.Why), count(d.Left+d.Asked-d.Gone, "session"))
			}
			return nil
		}
		if now := time.Now(); progress.live || !now.Before(next) {
			progress.show(progressOf(&d))
			next = now.Add(time.Second)
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
		}
	}
}

// progressOf is one line about a drain.
func progressOf(d *drain.Status) string {
	s := fmt.Sprintf("%s %v, %d gone, %d left", bar(d), d.State, d.Gone, d.Left+d.Asked-d.Gone)
	if d.Why != "" {
		s += ": " + printable(d.Why)
	}
	return s
}
