package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

const expectedAdmin = `an address such as 127.0.0.1:9090 or unix:/run/pointsman.sock, or "off"`

// expectedToken describes a token wherever it stands.
var expectedToken = fmt.Sprintf("at least %d printable ASCII characters without spaces", shortestToken)

// adminKeys are the address alone, and the section with a token.
func adminKeys() []field[Config] {
	at := func(c *Config) *string { return &c.Admin.Address }
	address := text("admin.address", expectedAdmin,
		"The address, in the long form of `admin`.", at, readAdmin)
	address.long = "admin"

	token := text("admin.token", expectedToken,
		"What a caller has to know before it may change anything. Without one, control is refused unless the address is on loopback or a socket. Better in a file of its own or in the environment than here, where more people read it.",
		func(c *Config) *string { return (*string)(&c.Admin.Token) }, readToken)
	token.secret = true
	token.initial = "no token"
	token.get = func(c *Config) string { return quote(c.Admin.Token.String()) }
	token.omit = func(c *Config) bool { return c.Admin.Token == "" || c.Admin.TokenFile != "" }
	token.restart = func(a, b *Config) bool { return a.Admin.Token != b.Admin.Token }

	file := text("admin.token_file", "the path of a file",
		"File that holds the token and nothing else but white space around it, at most 4 KiB; a relative path begins at the working directory. Only one of `token` and `token_file` may be given.",
		func(c *Config) *string { return &c.Admin.TokenFile }, readPath)
	file.initial = "no file"
	file.omit = func(c *Config) bool { return c.Admin.TokenFile == "" }

	section := []field[Config]{address, token, file}
	short := text("admin", expectedAdmin+", or a section with address, token or token_file",
		`Address of the admin listener: health, readiness, status and control. "off" opens none. Keep it on loopback or a socket, or give it a token.`,
		at, readAdmin)
	short.short = address.name
	short.omit = func(*Config) bool { return true } // The section says it.
	short.restart = func(a, b *Config) bool { return *at(a) != *at(b) }
	scalar := short
	short.decode = func(d *decoder, n ast.Node, path string, c *Config) {
		switch n.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			decodeMapping(d, n, "", path+".", section, c)
		default:
			decodeScalar(d, n, path, scalar, c)
			d.origins[scalar.short] = d.origins[path]
		}
	}
	return append([]field[Config]{short}, section...)
}

// checkAdmin reads the token file.
func (d *decoder) checkAdmin(c *Config) {
	const token, file = "admin.token", "admin.token_file"
	if c.Admin.TokenFile == "" || !d.usable(token, file) {
		return
	}
	if has(d.origins, token) {
		d.reject(file, d.at(file), "admin.token%s and admin.token_file are both given; expected one of them", d.line(token))
		return
	}
	secret, err := loadToken(c.Admin.TokenFile)
	if err != nil {
		d.reject(file, d.at(file), "cannot be used: %v; expected a file that holds %s", err, expectedToken)
		return
	}
	c.Admin.Token = secret
}
