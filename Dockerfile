# syntax=docker/dockerfile:1

# The image holds one static binary and runs it as nobody in particular.
#
#   docker build --build-arg VERSION=v1.2.3 -t pointsman .
#   docker run -p 8080:8080 -v "$PWD/pointsman.yaml:/etc/pointsman/pointsman.yaml:ro" pointsman
#
# The admin address is 127.0.0.1:9090 unless the configuration says otherwise:
# inside the container the health check reaches it, outside nobody does. It has
# no password. To open it to a network that may see it, set
# POINTSMAN_ADMIN=0.0.0.0:9090 and publish port 9090 there; the health check
# still works. With another port, or with "off", give a health check of your own.
#
# A stop may take as long as shutdown.deadline, 30 s by default, which is more
# than the 10 s that docker stop waits: docker stop --time 35.

FROM --platform=$BUILDPLATFORM golang:1.26.8-bookworm AS build
WORKDIR /src
# The modules change less often than the code: they get a layer of their own.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/pointsman ./cmd/pointsman
RUN echo 'pointsman:x:65532:65532::/:/sbin/nologin' >/out/passwd

FROM scratch
# The roots that TLS peers are verified with.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# A name for the number, for those who ask.
COPY --from=build /out/passwd /etc/passwd
COPY --from=build /out/pointsman /pointsman
# A number, so that "must not run as root" can be checked without the image.
USER 65532:65532
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/pointsman", "healthcheck"]
ENTRYPOINT ["/pointsman"]
CMD ["serve", "--config", "/etc/pointsman/pointsman.yaml"]
