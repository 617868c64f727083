// Package wsframe reads and writes the headers of WebSocket frames (RFC 6455
// section 5.2). Its noun is the frame.
//
// A [Scanner] walks over the bytes of one direction of one connection and says
// how far they may be passed on. Its invariant: every byte it lets pass belongs
// to a frame whose header it has seen whole and found legal, and a control
// frame passes whole or not at all. So whoever writes what the Scanner let pass
// knows exactly when the other end of the wire stands between two frames, and
// may put a frame of its own there.
//
// The Scanner never copies, unmasks or changes payload. It refuses to look at
// payload at all, with one exception that needs no data frame: callers may ask
// for the few bytes of a control frame. UTF-8 and compression stay matters of
// the two ends.
package wsframe
