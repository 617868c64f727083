package relay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// crowd is sessions that stay among others that come and go.
type crowd struct {
	*rig
	stay   int // sessions with the tags 0 to stay-1
	others []*link
	next   int // tag of the next one that comes
	random *rand.Rand
}

// gather makes a crowd whose sessions that stay are spread over the tables of
// the loops.
func gather(t *testing.T, stay, others int) *crowd {
	c := &crowd{rig: start(t, Options{Loops: 2}), next: 1_000_000, random: randomness(t)}
	for c.stay < stay || len(c.others) < others {
		if c.random.IntN(stay+others) < stay && c.stay < stay {
			c.join(t, tagged(c.stay))
			c.stay++
		} else if len(c.others) < others {
			c.comes(t)
		}
	}
	return c
}

// comes lets one more session come.
func (c *crowd) comes(t *testing.T) {
	c.others = append(c.others, c.join(t, tagged(c.next)))
	c.next++
}

// goes lets one of the others go.
func (c *crowd) goes() {
	i, last := c.random.IntN(len(c.others)), len(c.others)-1
	c.others[i].hangUp()
	c.others[i] = c.others[last]
	c.others = c.others[:last]
}

// survey makes one survey and checks it.
func (c *crowd) survey(ctx context.Context) error {
	found, err := c.seen(ctx, everyone)
	if err != nil {
		return err
	}
	for tag, n := range found {
		if n != 1 {
			return fmt.Errorf("session %v was found %d times", tag, n)
		}
	}
	for tag := range c.stay {
		if found[tag] != 1 {
			return fmt.Errorf("session %d was not found", tag)
		}
	}
	return nil
}

// Sessions that are open all the time are found once by each survey, whatever
// others do, and however many surveys there are at a time.
func TestSurveyAmongChurn(t *testing.T) {
	for _, surveyors := range []int{1, 4} {
		t.Run(fmt.Sprint("surveyors ", surveyors), func(t *testing.T) {
			t.Parallel()
			c := gather(t, 700, 500)
			ctx, stop := context.WithCancel(t.Context())
			var group sync.WaitGroup
			surveys := make([]int, surveyors)
			for i := range surveyors {
				group.Go(func() {
					for ctx.Err() == nil {
						if err := c.survey(t.Context()); err != nil {
							t.Error(err)
							return
						}
						surveys[i]++
					}
				})
			}
			for range 25 {
				for range 40 { // many at a time, so that they end in one turn of a loop
					c.goes()
				}
				for range 40 {
					c.comes(t)
				}
			}
			stop()
			group.Wait()
			for i, n := range surveys {
				if n == 0 && !t.Failed() {
					t.Errorf("surveyor %d has surveyed nothing", i)
				}
			}
			for _, l := range c.links {
				l.hangUp()
			}
		})
	}
}

// Of many that end at one blow, more than a survey has come by, none of the
// others is the victim.
func TestSurveyDuringRush(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 1})
	const stay, leave = 100, 700
	for i := range stay {
		r.join(t, tagged(i))
	}
	leaving := make([]*link, leave)
	for i := range leaving {
		leaving[i] = r.join(t, tagged("leaves"))
	}
	r.join(t, tagged("guard"))
	for _, l := range leaving { // one more event is the end of each
		l.upstream.fin()
		l.client.wantsClose(1012, "upstream lost")
	}
	guarded, rush := make(chan struct{}), make(chan struct{})
	type result struct {
		found map[any]int
		err   error
	}
	done := make(chan result, 1)
	go func() {
		found, err := r.seen(t.Context(), func(tag any) bool {
			if tag == "guard" {
				close(guarded)
				<-rush
			}
			return true
		})
		done <- result{found, err}
	}()
	<-guarded
	for _, l := range leaving {
		l.hangUp()
	}
	close(rush)
	res := <-done
	if res.err != nil || len(res.found) != stay+1 || res.found["guard"] != 1 {
		t.Errorf("%d tags found, %v", len(res.found), res.err)
	}
	for tag, n := range res.found {
		if n != 1 {
			t.Errorf("session %v was found %d times", tag, n)
		}
	}
	for _, l := range leaving {
		l.anyEnd()
	}
}
