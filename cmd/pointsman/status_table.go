package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/certtext"
	"github.com/pointsman/pointsman/proxy/drain"
)

// statusPage is what "pointsman status" prints.
func statusPage(s *admin.Status, now time.Time) string {
	var b strings.Builder
	ready := "ready"
	if !s.Ready {
		ready = "NOT READY"
	}
	fmt.Fprintf(&b, "router %s: %s, up %s, %s, listening on %s\n\n", s.Version, ready,
		age(time.Duration(s.UptimeSeconds*float64(time.Second))), count(s.Sessions.Open, "session"), strings.Join(s.Listeners, ", "))
	b.WriteString(upstreamTable(s.Upstreams, now))
	if len(s.Drains) > 0 {
		b.WriteString("\n" + drainTable(s.Drains, now))
	}
	if len(s.Certificates) > 0 {
		b.WriteString("\n" + certificateTable(s.Certificates, now))
	}
	if r := s.Reload; r != nil && !r.At.IsZero() && !r.OK {
		fmt.Fprintf(&b, "\nthe last reload, %s ago, failed and changed nothing: %s\n", age(now.Sub(r.At)), printable(r.Error))
	}
	if r := s.Reload; r != nil && len(r.NeedsRestart) > 0 {
		fmt.Fprintf(&b, "\nchanged in the configuration, and needs a restart: %s\n", printable(strings.Join(r.NeedsRestart, ", ")))
	}
	return b.String()
}

// table writes rows of cells in columns.
func table(rows [][]string) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, cmp.Or(printable(strings.ReplaceAll(c, "\n", " ")), "-"))
		}
		fmt.Fprintln(tw)
	}
	_ = tw.Flush() // a strings.Builder takes every write
	return b.String()
}

func upstreamTable(upstreams []admin.Upstream, now time.Time) string {
	rows := [][]string{{"UPSTREAM", "ROLE", "STATE", "SESSIONS", "SINCE", "WHY"}}
	for i := range upstreams {
		u := &upstreams[i]
		rows = append(rows, []string{u.Name, u.Role, stateOf(u, now), fmt.Sprint(u.Sessions), age(now.Sub(u.Since)), whyOf(u)})
	}
	return table(rows)
}

func certificateTable(certificates []admin.Certificate, now time.Time) string {
	rows := [][]string{{"CERTIFICATE", "LISTENER", "SOURCE", "ENDS", "TROUBLE"}}
	for i := range certificates {
		c := &certificates[i]
		rows = append(rows, []string{certtext.List(c.Names), c.Listener, string(c.Source), endOf(c, now), c.Error})
	}
	return table(rows)
}

// endOf says when a certificate ends.
func endOf(c *admin.Certificate, now time.Time) string {
	left := c.NotAfter.Sub(now)
	switch {
	case c.NotAfter.IsZero():
		return "not obtained yet"
	case left <= 0:
		return "EXPIRED " + age(-left) + " ago"
	default:
		return "in " + age(left)
	}
}

// stateOf is the state of an upstream in one word, and what there is to wait
// for.
func stateOf(u *admin.Upstream, now time.Time) string {
	switch u.State {
	case admin.Held:
		return fmt.Sprintf("held %.0fs", math.Ceil(u.HoldSecondsLeft))
	case admin.Ramping:
		return fmt.Sprintf("ramping %.0f%%", u.Share*100)
	case admin.Suspended:
		return fmt.Sprintf("suspended %.0fs", math.Ceil(max(0, u.SuspendedUntil.Sub(now).Seconds())))
	default:
		return string(u.State)
	}
}

// whyOf says why an upstream is as it is, and what its last probe says if that
// differs.
func whyOf(u *admin.Upstream) string {
	why := u.Reason
	switch {
	case u.Disabled && u.Healthy:
		why = u.DisabledWhy
	case u.Disabled:
		why = u.DisabledWhy + "; " + u.Reason
	}
	if p := u.LastProbe; p != nil && p.Error != "" && !strings.Contains(why, p.Error) {
		why += "; last probe: " + p.Error
	}
	return why
}

// barWidth is the number of characters in a bar of progress.
const barWidth = 20

// drainTable shows drains with their progress.
func drainTable(drains []drain.Status, now time.Time) string {
	rows := [][]string{{"DRAIN", "CAUSE", "OF", "STATE", "PROGRESS", "GONE", "LEFT", "RATE", "REST", "WHAT"}}
	for i := range drains {
		d := &drains[i]
		rest := "-"
		switch {
		case d.State.Final():
			rest = age(now.Sub(d.Ended)) + " ago"
		case d.Left > 0:
			rest = age(time.Duration(d.Remaining * float64(time.Second)))
		}
		what := d.Selection
		if d.Why != "" {
			what += "; " + d.Why
		}
		rows = append(rows, []string{
			d.ID, d.Cause.String(), d.Upstream, d.State.String(), bar(d), fmt.Sprint(d.Gone), fmt.Sprint(d.Left + d.Asked - d.Gone),
			fmt.Sprintf("%d/s", d.Rate), rest, what,
		})
	}
	return table(rows)
}

// bar draws how many of the sessions of a drain are gone.
func bar(d *drain.Status) string {
	done := 1.0
	if all := d.Asked + d.Left; all > 0 {
		done = float64(d.Gone) / float64(all)
	} else if !d.State.Final() {
		done = 0
	}
	full := min(int(done*barWidth), barWidth)
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), math.Floor(done*100))
}

// age is a time for people, in its two largest units.
func age(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	}
}

// count says how many there are of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// printable keeps what came over the network from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
