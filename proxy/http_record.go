package proxy

import (
	"context"
	"log/slog"
	"time"
)

// passedRecord is what the access log says of a request that was passed.
type passedRecord struct {
	method   string
	status   int  // 0 if there was no answer
	whole    bool // the answer has reached its end
	took     time.Duration
	up, down int64
}

func (r *passedRecord) log(logger *slog.Logger, of *accessRecord) {
	logger.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.Any("client", of.client),
		slog.String("method", r.method),
		slog.String("path", of.path),
		slog.String("upstream", of.upstream),
		slog.Duration("duration", r.took),
		slog.Int("status", r.status),
		slog.Bool("whole", r.whole),
		slog.Int64("client_bytes", r.up),
		slog.Int64("upstream_bytes", r.down),
	)
}
