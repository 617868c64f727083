package peer

import (
	"fmt"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

// settings is what the peers' configurations depend on.
type settings struct {
	Stand
	listen string
	files  int // open files per process
}

// nginxConfig is the configuration that nginx's manual shows for WebSockets, with two workers. With TLS, the version, the suite and
// the curve are those that all candidates have in common; tickets are on, which is the default.
func nginxConfig(s settings) string {
	listen, server, upstream := s.listen, "", ""
	scheme := "http"
	if s.TLS.Clients {
		listen += " ssl"
		server = fmt.Sprintf(`
        ssl_certificate %s;
        ssl_certificate_key %s;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        ssl_ecdh_curve X25519;`, s.TLS.Authority.CertFile, s.TLS.Authority.KeyFile)
	}
	if s.Deadline > 0 {
		server += fmt.Sprintf(`
        client_header_timeout %[1]d;
        client_body_timeout %[1]d;
        send_timeout %[1]d;`, wholeSeconds(s.Deadline))
	}
	if s.TLS.Upstream {
		scheme = "https"
		upstream = fmt.Sprintf(`
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
            proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
            proxy_ssl_trusted_certificate %s;
            proxy_ssl_verify on;
            proxy_ssl_server_name on;
            proxy_ssl_name %s;`, s.TLS.Authority.CAFile, authority.Name)
	}
	return fmt.Sprintf(`daemon off;
pid %[3]s/nginx.pid;
error_log %[3]s/error.log warn;
worker_processes 2;
worker_rlimit_nofile %[4]d;
events {
    worker_connections %[4]d;
}
http {
    access_log off;
    client_body_temp_path %[3]s/body;
    proxy_temp_path %[3]s/proxy;
    fastcgi_temp_path %[3]s/fastcgi;
    uwsgi_temp_path %[3]s/uwsgi;
    scgi_temp_path %[3]s/scgi;
    map $http_upgrade $connection_upgrade {
        default upgrade;
        ''      close;
    }
    upstream echo {
        server %[2]s;
    }
    server {
        listen %[1]s;%[5]s
        location / {
            proxy_pass %[6]s://echo;%[7]s
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }
    }
}
`, listen, s.Upstream, s.Dir, s.files, server, scheme, upstream)
}

// haproxyConfig is a plain HTTP proxy with two threads. HAProxy refuses to start with more sessions than it has
// descriptors for, two per session and some for itself, so maxconn follows from the limit. As for TLS, see nginxConfig.
func haproxyConfig(s settings) string {
	bind, server := s.listen, s.Upstream
	if s.TLS.Clients {
		bind += " ssl crt " + s.TLS.Authority.BothFile + " ciphersuites TLS_AES_128_GCM_SHA256 curves X25519"
	}
	if s.TLS.Upstream {
		server += fmt.Sprintf(" ssl verify required ca-file %s verifyhost %[2]s sni str(%[2]s) ciphersuites TLS_AES_128_GCM_SHA256",
			s.TLS.Authority.CAFile, authority.Name)
	}
	request, client, more := 10, 60, ""
	if s.Deadline > 0 {
		request, client = wholeSeconds(s.Deadline), wholeSeconds(s.Deadline)
		more = "\n    option http-buffer-request" // a body is a part of the request
	}
	return fmt.Sprintf(`global
    nbthread 2
    maxconn %d
defaults
    mode http%s
    timeout connect 5s
    timeout http-request %ds
    timeout client %ds
    timeout server 1m
    timeout tunnel 1h
frontend clients
    bind %s
    default_backend echo
backend echo
    server echo %s
`, (s.files-100)/2, more, request, client, bind, server)
}

// wholeSeconds is the unit of the peers' time-outs, at least 1.
func wholeSeconds(d time.Duration) int { return max(1, int(d.Round(time.Second)/time.Second)) }

// pointsmanConfig is the shortest file that says where TLS is spoken, and what the deadline is.
func pointsmanConfig(s Stand) string {
	var b strings.Builder
	b.WriteString("listen: [{address: \"127.0.0.1:0\"")
	if s.TLS.Clients {
		b.WriteString(", " + ListenerTLS(s.TLS.Authority))
	}
	b.WriteString("}]\nadmin: \"127.0.0.1:0\"\nupstreams:\n")
	if s.TLS.Upstream {
		fmt.Fprintf(&b, "  - {name: echo, url: \"wss://%s\", %s}\n", s.Upstream, UpstreamTLS(s.TLS.Authority))
	} else {
		fmt.Fprintf(&b, "  - {name: echo, url: \"ws://%s\"}\n", s.Upstream)
	}
	if s.Deadline > 0 {
		fmt.Fprintf(&b, "limits: {header_timeout: %v}\n", s.Deadline)
	}
	return b.String()
}

// ListenerTLS is the key that makes a listener of pointsman speak TLS.
func ListenerTLS(a *authority.Authority) string {
	return fmt.Sprintf("tls: {certificates: [{cert: %q, key: %q}]}", a.CertFile, a.KeyFile)
}

// UpstreamTLS is the key that goes with a wss URL of an upstream.
func UpstreamTLS(a *authority.Authority) string {
	return fmt.Sprintf("tls: {ca: %q, server_name: %q}", a.CAFile, authority.Name)
}
