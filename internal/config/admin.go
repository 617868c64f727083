package config

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// AdminOff is the value of Admin.Address that opens no admin listener.
const AdminOff = "off"

// Admin is the operator's door.
type Admin struct {
	// Address is "host:port", "unix:/path/to.sock" with an absolute path, or
	// AdminOff. Default "127.0.0.1:9090".
	Address string
	// Token is what callers that change something must know: at least 16 printable
	// ASCII characters without spaces. Empty when there is none. Default empty.
	Token Secret
	// TokenFile is the file that Token was read from; empty when it came from
	// elsewhere. Default empty.
	TokenFile string
}

// Network returns the arguments for net.Listen. The address must not be
// AdminOff.
func (a Admin) Network() (network, address string) {
	if path, ok := strings.CutPrefix(a.Address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", a.Address
}

// exposed reports whether others than this machine's own users reach a.
func (a Admin) exposed() bool {
	if a.Address == AdminOff || strings.HasPrefix(a.Address, unixPrefix) {
		return false
	}
	e, err := listenEndpoint(a.Address)
	return err == nil && !e.loopback()
}

// Secret is a text that is not shown: printed, logged or encoded it is "***".
// A conversion to string gives the text itself.
type Secret string

// String returns "***", or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString returns what String returns, in quotes.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText returns what String returns. It never fails.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

const (
	unixPrefix = "unix:"
	// maxSocket is the longest path of a Unix socket that every system takes.
	maxSocket     = 103
	shortestToken = 16
	longestToken  = 4 << 10
)

// readAdmin checks the address of the admin listener.
func readAdmin(s string) (string, error) {
	path, unix := strings.CutPrefix(s, unixPrefix)
	switch {
	case s == AdminOff:
		return s, nil
	case !unix:
		return readListen(s)
	case strings.HasPrefix(path, "//"):
		return "", errors.New("is a URL, not an address")
	case !strings.HasPrefix(path, "/"):
		return "", errors.New("is a socket without an absolute path")
	case strings.HasSuffix(path, "/"):
		return "", errors.New("is a directory, not a socket")
	case len(path) > maxSocket:
		return "", errors.New("is a socket whose path is longer than " + strconv.Itoa(maxSocket) + " bytes")
	case strings.ContainsFunc(path, func(c rune) bool { return c == unicode.ReplacementChar || !unicode.IsPrint(c) }):
		return "", errors.New("is a socket whose path holds a character that cannot be printed")
	}
	return s, nil
}

// readToken checks a token. Its errors never quote it.
func readToken(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("is empty")
	case strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return "", errors.New("holds a space or a character that is not printable ASCII")
	case len(s) < shortestToken:
		return "", errors.New("is too short")
	case len(s) > longestToken:
		return "", errors.New("is too long")
	}
	return s, nil
}

// readPath checks the path of a file, which may be there or not.
func readPath(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("is empty")
	case len(s) > maxURL:
		return "", errors.New("is longer than " + strconv.Itoa(maxURL) + " bytes")
	case strings.ContainsFunc(s, func(c rune) bool { return c == unicode.ReplacementChar || !unicode.IsPrint(c) }):
		return "", errors.New("holds a character that cannot be printed")
	}
	return s, nil
}

// loadToken reads a token from a file, without the white space around it. Its
// errors quote neither the token nor the path.
func loadToken(path string) (Secret, error) {
	text, err := loadSecret(path, longestToken)
	if err != nil {
		return "", err
	}
	token, err := readToken(text)
	if err != nil {
		return "", errors.New("the token in it " + err.Error())
	}
	return Secret(token), nil
}

// loadSecret reads a file of at most so many bytes, without the white space around
// it. Its errors quote neither what is in it nor the path.
func loadSecret(path string, most ByteSize) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", cause(err)
	case !info.Mode().IsRegular():
		return "", errors.New("not a regular file") // A pipe could keep us waiting.
	}
	f, err := os.Open(path)
	if err != nil {
		return "", cause(err)
	}
	defer func() { _ = f.Close() }() // Only read: closing cannot lose anything.
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return "", cause(err)
	case len(data) > int(most):
		return "", errors.New("the file is larger than " + most.String())
	}
	return strings.TrimSpace(string(data)), nil
}

// cause is what an error of the file system says apart from operation and path.
func cause(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
