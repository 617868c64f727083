package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// PrintFlap writes what the clients of a flapping primary have seen. The error is the writer's.
func PrintFlap(w io.Writer, r trial.Flap) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nflap: primary %.1f s down and %.1f s up in turn, %d sessions\n", r.Down/1e3, r.Up/1e3, r.Sessions)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tseconds\tkilled\tfound down\tsessions opened anew\tmost of one client\tclosed to go home\trefused\t\n")
	row := func(r trial.Flap) {
		fmt.Fprintf(t, "hold %.0f s\t%.0f\t%d\t%d\t%d\t%d\t%d\t%d\t\n", r.Hold/1e3, r.Seconds, r.Kills, r.Trips, r.Moves, r.MostMoves, r.DrainCloses, r.Refused)
	}
	row(r)
	if r.Unheld != nil {
		row(*r.Unheld)
	}
	_ = t.Flush() // a strings.Builder takes everything
	return write(w, &b)
}

// JudgeFlap returns the verdicts on a flapping primary. The time without a hold is for comparison only.
func JudgeFlap(r trial.Flap) []Verdict {
	c := claims{name: "flap"}
	c.add(r.DrainCloses == 0 && r.MostMoves <= 1 && r.Moves == r.Sessions && r.Kills > 1, "nobody is sent back and forth: one move at the first loss, and none more",
		"%d sessions moved, at most %d times, %d closed to go home, in %d losses", r.Moves, r.MostMoves, r.DrainCloses, r.Kills)
	c.add(r.Trips >= r.Kills, "each loss is found", "%d of %d", r.Trips, r.Kills)
	c.unharmed(r.Damage)
	return c.all
}

// PrintReload writes what the clients have seen of reloads. The error is the writer's.
func PrintReload(w io.Writer, r trial.Reload) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nreload: %d reloads in %.1f s, %d sessions that send; %d messages came back\n", r.Reloads, r.Seconds, r.Sessions+r.Added, r.Echoes)
	fmt.Fprintf(&b, "  sessions ended on upstreams that stay: %d%s\n", r.Ended, prefixed("; first: ", r.FirstEnd))
	fmt.Fprintf(&b, "  the bad file: %s\n", cmp.Or(firstLine(r.Refusal), "not refused"))
	fmt.Fprintf(&b, "  the added upstream got %d of %d new sessions; removed again, %d were closed and %d found another place\n", r.OnAdded, r.Added, r.Closed, r.Returned)
	rows(&b, "closes per second", r.Removal.PerSecond)
	return write(w, &b)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// JudgeReload returns the verdicts on reloads.
func JudgeReload(r trial.Reload) []Verdict {
	c := claims{name: "reload"}
	c.add(r.Ended == 0, "no session of an upstream that stays ends", "%d of %d ended in %d reloads%s", r.Ended, r.Sessions, r.Reloads, prefixed("; first: ", r.FirstEnd))
	c.add(r.Refusal != "" && r.Unmoved, "a bad file changes nothing, and the status says why", "unchanged: %t, %s", r.Unmoved, cmp.Or(firstLine(r.Refusal), "no reason"))
	c.add(r.OnAdded > 0, "an added upstream gets sessions once it is healthy", "%d of %d", r.OnAdded, r.Added)
	c.add(r.Closed == r.OnAdded && r.Returned == r.OnAdded && r.Removal.Worst <= r.Rate,
		fmt.Sprintf("every session of a removed upstream gets a Close frame and finds another place, at most %d in any second", r.Rate),
		"%d of %d closed, %d returned, %d in the worst second", r.Closed, r.OnAdded, r.Returned, r.Removal.Worst)
	c.unharmed(r.Damage)
	return c.all
}

// PrintShutdown writes what the clients have seen of a shutdown. The error is the writer's.
func PrintShutdown(w io.Writer, r trial.Shutdown) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nshutdown: SIGTERM, %d sessions, deadline %.0f s; configured %d/s, the deadline demands %d/s\n", r.Sessions, r.Deadline, r.Rate, r.Announced)
	rows(&b, "closes per second", r.Pace.PerSecond)
	fmt.Fprintf(&b, "  %d closes with 1001, %d others; first after %.0f ms, last %.2f s later, worst second %d; process gone after %.2f s%s\n",
		r.Pace.Closes, r.Other, r.First, r.Pace.Seconds, r.Pace.Worst, r.Gone, prefixed(", ", r.Exit))
	return write(w, &b)
}

// JudgeShutdown returns the verdicts on a shutdown.
func JudgeShutdown(r trial.Shutdown) []Verdict {
	c := claims{name: "shutdown (SIGTERM)"}
	c.add(r.Pace.Closes == r.Sessions && r.Other == 0, "every session gets Close 1001", "%d of %d, %d with another code", r.Pace.Closes, r.Sessions, r.Other)
	c.add(r.Announced > 0 && r.Pace.Worst <= r.Announced, "never more closes in any second than the router has announced", "%d of %d", r.Pace.Worst, r.Announced)
	c.add(r.Gone < r.Deadline && r.Exit == "", "the process is gone before the deadline, with exit code 0", "%.2f s of %.0f s%s", r.Gone, r.Deadline, prefixed(", ", r.Exit))
	c.unharmed(r.Damage)
	return c.all
}

// PrintSudden writes how soon the ends have seen the router's death. The error is the writer's.
func PrintSudden(w io.Writer, r trial.Sudden) error {
	_, err := fmt.Fprintf(w, "\nshutdown: SIGKILL, %d sessions: none open at the upstream after %s, the last client knows after %s\n", r.Sessions, orNever(r.Upstream, " ms"), orNever(r.Clients, " ms"))
	return err
}

func orNever(v float64, unit string) string {
	if v < 0 {
		return "never"
	}
	return fmt.Sprintf("%.3g%s", v, unit)
}

// JudgeSudden returns the verdict on the router's death.
func JudgeSudden(r trial.Sudden) []Verdict {
	c := claims{name: "shutdown (SIGKILL)"}
	c.add(r.Upstream >= 0 && r.Upstream <= maxSudden && r.Clients >= 0 && r.Clients <= maxSudden, fmt.Sprintf("nothing is left open at either end after %d ms", maxSudden),
		"upstream %s, clients %s", orNever(r.Upstream, " ms"), orNever(r.Clients, " ms"))
	return c.all
}

// PrintStorm writes what the clients of a storm have seen. The error is the writer's.
func PrintStorm(w io.Writer, r trial.Storm) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nstorm: %d sessions lost at once, at most %d handshakes per second\n", r.Sessions, r.Limit)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "second\taccepted\trefused\tp50 ms\tp99 ms\t\n")
	for i, s := range r.Seconds {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.0f\t%.0f\t\n", i+1, s.Accepted, s.Refused, s.P50, s.P99)
	}
	_ = t.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&b, "  99 %% are back after %s, all after %s; %.1f s = sessions / rate; %d refusals, %d with Retry-After, at most %d of one client; %d other failures\n",
		orNever(r.Most, " s"), orNever(r.All, " s"), float64(r.Sessions)/float64(r.Limit), r.Refused, r.Told, r.MostRefusals, r.Other)
	fmt.Fprintf(&b, "  a handshake without its turn in the queue: p50 %.1f ms, p99 %.1f ms, longest %.1f ms; before the storm %.1f, %.1f, %.1f ms; %d failed\n",
		r.During.P50/1e3, r.During.P99/1e3, r.During.Max/1e3, r.Before.P50/1e3, r.Before.P99/1e3, r.Before.Max/1e3, r.Failed)
	fmt.Fprintf(&b, "  RSS of the router %.1f MiB before, %.1f MiB at most\n", float64(r.RSS)/(1<<20), float64(r.Peak)/(1<<20))
	return write(w, &b)
}

// stormCounts is how many handshakes a second must have for its p99 to be judged.
const stormCounts = 100

// JudgeStorm returns the verdicts on a storm.
func JudgeStorm(r trial.Storm) []Verdict {
	c := claims{name: "storm"}
	bound := maxStormTime * float64(r.Sessions) / float64(r.Limit)
	c.add(r.All >= 0 && r.All <= bound, fmt.Sprintf("all are back within %.1f times sessions / rate", maxStormTime), "99 %% after %s, all after %s, of %.1f s", orNever(r.Most, " s"), orNever(r.All, " s"), bound)
	best, worst := 0.0, 0.0
	for _, s := range r.Seconds {
		if s.Accepted < min(stormCounts, r.Limit/2) {
			continue
		}
		if worst = max(worst, s.P99); best == 0 || s.P99 < best {
			best = s.P99
		}
	}
	c.add(worst > 0 && (worst <= maxStormWorse*best || worst <= maxStormWait),
		fmt.Sprintf("p99 of accepted handshakes in the worst second at most %d ms, 1,000 of which are the queue, or %.0f times the best second's", maxStormWait, maxStormWorse),
		"%.0f ms, best %.0f ms", worst, best)
	c.add(r.Told == r.Refused && r.Other == 0, "every refusal says when to come again, and nobody meets another failure", "%d of %d, %d others", r.Told, r.Refused, r.Other)
	c.unharmed(r.Damage)
	return c.all
}
