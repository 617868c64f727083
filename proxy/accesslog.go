package proxy

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"github.com/pointsman/pointsman/proxy/relay"
)

// accessQueue is how many records may wait for a slow log; more are dropped and
// counted, because an event loop must not wait for a disk.
const accessQueue = 4096

// accessLog writes one record per ended session.
type accessLog struct {
	logger  *slog.Logger
	queue   chan accessRecord
	dropped atomic.Uint64
}

type accessRecord struct {
	client   netip.Addr
	path     string
	upstream string
	end      relay.End
	passed   *passedRecord // of a request that was passed, which is no session
}

func newAccessLog(logger *slog.Logger) *accessLog {
	if logger == nil {
		return nil
	}
	return &accessLog{logger: logger, queue: make(chan accessRecord, accessQueue)}
}

// write queues the record of an ended session, or drops it.
func (l *accessLog) write(r accessRecord) {
	select {
	case l.queue <- r:
	default:
		l.dropped.Add(1)
	}
}

// run writes records until ctx is done and the queue is empty.
func (l *accessLog) run(ctx context.Context) {
	if l == nil {
		return
	}
	for {
		select {
		case r := <-l.queue:
			l.log(r)
			continue
		case <-ctx.Done():
		}
		for {
			select {
			case r := <-l.queue:
				l.log(r)
			default:
				return
			}
		}
	}
}

func (l *accessLog) log(r accessRecord) {
	if r.passed != nil {
		r.passed.log(l.logger, &r)
		return
	}
	why := slog.Attr{} // left out: a peer's reason is a stranger's text
	if r.end.Cause.Ours() {
		why = slog.String("reason", r.end.Reason)
	}
	slowed := slog.Attr{} // left out: most never are
	if r.end.Slowed > 0 {
		slowed = slog.Duration("slowed", r.end.Slowed)
	}
	l.logger.LogAttrs(context.Background(), slog.LevelInfo, "session",
		slog.Any("client", r.client),
		slog.String("path", r.path),
		slog.String("upstream", r.upstream),
		slog.Duration("duration", r.end.Duration),
		slog.String("cause", r.end.Cause.String()),
		slog.Int("code", int(r.end.Code)), why,
		slog.Uint64("client_bytes", r.end.Client.Bytes),
		slog.Uint64("client_messages", r.end.Client.Messages),
		slog.Uint64("upstream_bytes", r.end.Upstream.Bytes),
		slog.Uint64("upstream_messages", r.end.Upstream.Messages), slowed,
	)
}
