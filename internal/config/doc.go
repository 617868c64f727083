// Package config is the validated configuration file: its noun is [Config].
//
// Invariant: a Config returned by [Load], [Parse] or [FromFlags] has every
// default filled in and has passed every check, so that what is built from it
// need not check again. One table of keys (keys.go, and beside it one file for
// each subject) drives decoding, the environment variables, [Config.YAML] and
// [Reference]; they cannot drift apart.
//
// Lifecycle: the functions are pure apart from [Load] reading one file, and from
// the files that a configuration may name: the token, access keys, connection
// strings, certificates, their keys and authorities, which the checks read, and
// [Config.Build] some of them again. They keep nothing, start nothing, and may be
// called concurrently. A Config is plain data and is not changed after it was
// returned. For a reload, [Config.Rebuild] keeps what did not change, and
// [Config.NeedsRestart] tells what cannot change.
//
// Precedence, weakest first: defaults, the file, environment variables, flags.
// The variables of the Azure SDKs add upstreams, or say the connection strings of
// those in the file that have their names; they are not read when flags name
// upstreams.
//
// Refused: unknown and duplicate keys, values out of range, anchors, aliases,
// merge keys, tags, several documents in one file, files above 1 MiB, nesting
// and token counts no honest file has, text that is not UTF-8, and keys of
// features that this version does not have. All mistakes are reported in one
// [Errors], each with its place; what is wrong with a file has that of its name.
// Reports and dumps never show the token, an access key, a connection string, a
// private key that stands where its file belongs, or the user information or the
// query of a URL.
package config
