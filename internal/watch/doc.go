// Package watch tells when the content of a file has changed. Its noun is the
// [File].
//
// # Invariants
//
//   - What counts is the content that one finds at the path, however it got
//     there: written in place, renamed over, behind a symbolic link that was
//     swapped (as Kubernetes does with its ..data), deleted and created again. The
//     same content again is no change, and neither is its absence.
//   - The last change is never missed, however many there were before it.
//   - Changes in a row are told once: when the file has been left alone for a
//     tenth of a second, but at the latest after a second.
//
// # Lifecycle
//
// [New] reads the file and starts nothing; every change from then on is told, so
// call it before the content is used. [File.Run] watches until its context ends,
// and returns when all that it started has ended.
//
// The system's notices bring the news at once. They do not reach everything: a
// network file system, a file that is mounted by itself, a process that has used
// up its watches. So the file is also looked at every few seconds, notices or
// none.
//
// # What the package refuses
//
// It does not hand out the content: whoever is told reads the file again, and
// may meet an even newer one. It watches no directory, no pipe and no device, and
// looks at the first MiB of a file only.
package watch
