package certs

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// debugLog returns a logger whose records all come at level Debug. The libraries
// tell every step, and every error that they return as well; what an operator
// should know of it is logged here.
func debugLog(logger *slog.Logger) *slog.Logger { return slog.New(debugHandler{logger.Handler()}) }

type debugHandler struct{ handler slog.Handler }

// Enabled implements [slog.Handler].
func (h debugHandler) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements [slog.Handler].
func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h debugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugHandler{h.handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.handler.WithGroup(name)}
}

// zapCore hands what is logged by zap to a handler.
type zapCore struct{ handler slog.Handler }

// Enabled implements [zapcore.LevelEnabler].
func (c zapCore) Enabled(zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slog.LevelDebug)
}

// With implements [zapcore.Core].
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.handler.WithAttrs(attributes(fields))}
}

// Check implements [zapcore.Core].
func (c zapCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements [zapcore.Core].
func (c zapCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(entry.Time, slog.LevelDebug, entry.Message, 0)
	r.AddAttrs(attributes(fields)...)
	return c.handler.Handle(context.Background(), r)
}

// Sync implements [zapcore.Core].
func (c zapCore) Sync() error { return nil }

func attributes(fields []zapcore.Field) []slog.Attr {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, field := range fields {
		values := zapcore.NewMapObjectEncoder()
		field.AddTo(values)
		for key, value := range values.Fields {
			attrs = append(attrs, slog.Any(key, value))
		}
	}
	return attrs
}
