package azure

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// MaxConnectionString is the longest connection string that is read, in bytes.
const MaxConnectionString = 8 << 10

// ConnectionString is what a connection string says. However it is printed, its key does not show.
type ConnectionString struct {
	// Endpoint is the instance. Tokens are for its host, whichever way they go.
	Endpoint Base
	// ClientEndpoint is where clients are sent instead, zero if it was not given.
	ClientEndpoint Base
	// ServerEndpoint is where REST calls go instead, zero if it was not given.
	ServerEndpoint Base
	// Key is the access key.
	Key Key
	// Version is the text after "Version=", "" if it was not given. It is checked and has no meaning.
	Version string
}

// ClientBase returns where clients connect to: ClientEndpoint if it was given, else Endpoint.
func (c ConnectionString) ClientBase() Base {
	if !c.ClientEndpoint.IsZero() {
		return c.ClientEndpoint
	}
	return c.Endpoint
}

// ServerBase returns where REST calls go: ServerEndpoint if it was given, else Endpoint.
func (c ConnectionString) ServerBase() Base {
	if !c.ServerEndpoint.IsZero() {
		return c.ServerEndpoint
	}
	return c.Endpoint
}

// The keys of a connection string, in lower case, and how they are written.
var connectionKeys = map[string]string{
	"endpoint": "Endpoint", "accesskey": "AccessKey", "version": "Version", "port": "Port",
	"clientendpoint": "ClientEndpoint", "serverendpoint": "ServerEndpoint", "authtype": "AuthType",
	"clientid": "ClientId", "tenantid": "TenantId", "clientsecret": "ClientSecret",
	"clientcert": "ClientCert", "clientcertpath": "ClientCertPath",
}

// entra are the values of AuthType that mean Microsoft Entra identities. All others mean the access key, as in the SDKs.
var entra = map[string]bool{"azure": true, "azure.msi": true, "azure.app": true, "aad": true}

var versionForm = regexp.MustCompile(`^1\.[0-9]+[\w.-]*$`)

// ParseConnectionString reads a connection string by the grammar of the SDKs: pairs "Key=Value" separated by ";", cut at the first
// "=", blanks around both removed. Keys are read without regard to case; unknown ones are ignored, none may come twice. Empty
// segments and those without "=" are skipped. The errors name the key, say what it must be, and quote nothing that might be
// a secret.
//
// Endpoint takes no path: an instance has none, and the SDKs leave it out of what they sign.
func ParseConnectionString(text string) (ConnectionString, error) {
	values, err := splitPairs(text)
	if err != nil {
		return ConnectionString{}, fmt.Errorf("connection string: %w", err)
	}
	c, err := readPairs(values)
	if err != nil {
		return ConnectionString{}, fmt.Errorf("connection string: %w", err)
	}
	return c, nil
}

// splitPairs returns the values by the lower-case names of their keys.
func splitPairs(text string) (map[string]string, error) {
	if len(text) > MaxConnectionString {
		return nil, fmt.Errorf("is longer than %d bytes", MaxConnectionString)
	}
	values, segments := make(map[string]string), 0
	for segment := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(segment) == "" {
			continue
		}
		segments++
		key, value, ok := strings.Cut(segment, "=")
		if !ok {
			continue
		}
		key = lowerASCII(strings.TrimSpace(key))
		if _, twice := values[key]; twice {
			if known := connectionKeys[key]; known != "" {
				return nil, fmt.Errorf("%s is given twice", known)
			}
			return nil, errors.New("an unknown key is given twice") // it may be a piece of the access key
		}
		values[key] = strings.TrimSpace(value)
	}
	if segments < 2 {
		return nil, errors.New("Endpoint is missing; expected Endpoint=https://…;AccessKey=…;Version=1.0;")
	}
	return values, nil
}

func readPairs(values map[string]string) (ConnectionString, error) {
	var c ConnectionString
	if values["endpoint"] == "" {
		return c, errors.New("Endpoint is missing; expected Endpoint=https://…;AccessKey=…;Version=1.0;")
	}
	for _, place := range []struct {
		key  string
		into *Base
	}{{"endpoint", &c.Endpoint}, {"clientendpoint", &c.ClientEndpoint}, {"serverendpoint", &c.ServerEndpoint}} {
		if values[place.key] == "" {
			continue
		}
		b, err := ParseBase(values[place.key])
		if err != nil {
			return c, fmt.Errorf("%s %w; expected an absolute URL such as https://name.webpubsub.azure.com",
				connectionKeys[place.key], err)
		}
		*place.into = b
	}
	if c.Endpoint.path != "" {
		return c, errors.New("Endpoint has a path, which instances do not have; ClientEndpoint and ServerEndpoint may have one")
	}
	if text, given := values["port"]; given {
		port, err := parsePort(text)
		if err != nil {
			return c, errors.New("Port is not a number from 1 to 65535")
		}
		c.Endpoint = c.Endpoint.withPort(port)
	}
	if text, given := values["version"]; given {
		if len(text) > 64 || !versionForm.MatchString(text) {
			return c, fmt.Errorf("%s is not supported; expected 1.0 or another 1.x", connectionKeys["version"])
		}
		c.Version = text
	}
	return c, c.readKey(values)
}

func (c *ConnectionString) readKey(values map[string]string) error {
	if kind := lowerASCII(values["authtype"]); entra[kind] {
		return fmt.Errorf("AuthType=%s is not supported, only access keys are; remove AuthType and give AccessKey=…", kind)
	}
	if values["accesskey"] == "" {
		if _, given := values["authtype"]; given {
			return errors.New("AccessKey is missing; AuthType does not replace it, only access keys are supported")
		}
		return errors.New("AccessKey is missing; expected AccessKey=…")
	}
	key, err := ParseKey(values["accesskey"])
	if err != nil {
		return fmt.Errorf("AccessKey: %w", err)
	}
	c.Key = key
	return nil
}
