# syntax=docker/dockerfile:1

# One image for every part: the subcommand is the argument.
#   docker build -t funcatron/funcatron --build-arg VERSION=1.2.3 --build-arg REVISION=$(git rev-parse HEAD) .
#   docker run -p 127.0.0.1:8080:8080 -p 127.0.0.1:3000:3000 -e FUNCATRON_ADMIN_TOKEN=... funcatron/funcatron up --demo
# and one that runs bundles of runtime jvm, python and node as well:
#   docker build -t funcatron/funcatron:full --target full .

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION="" REVISION=""
# "pack" runs here and compiles for there, as "go build" does.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    set -eu; \
    mkdir -p /out/state; \
    if [ -n "$REVISION" ]; then echo "$REVISION" >runner/samples/go/gitsha.txt; fi; \
    go run . pack runner/samples/go -o /out/sample-go.zip --platforms "$TARGETOS/$TARGETARCH"; \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -pgo bench/default.pgo -o /out/funcatron \
        -ldflags "-s -w -X github.com/funcatron/funcatron/shared/version.Version=$VERSION" .

# What serves jars. It is the same on every platform.
FROM --platform=$BUILDPLATFORM maven:3-eclipse-temurin-17 AS jvm
WORKDIR /src
COPY runner/jvm .
RUN --mount=type=cache,target=/root/.m2 \
    mvn -B -q -ntp -DskipTests package && mv host/target/funcatron-jvm-host.jar /

# The Runner's languages beside the binary. Its settings are those of the last stage.
FROM node:24-bookworm-slim AS full
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates openjdk-17-jre-headless python3 python3-venv && \
    rm -rf /var/lib/apt/lists/*
LABEL org.opencontainers.image.title="Funcatron" \
      org.opencontainers.image.description="Serverless for your own cluster" \
      org.opencontainers.image.source="https://github.com/funcatron/funcatron" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/funcatron /usr/local/bin/funcatron
COPY --from=build /out/sample-go.zip /usr/share/funcatron/sample-go.zip
COPY --from=build --chown=65532:65532 /out/state /var/lib/funcatron
COPY --from=jvm /funcatron-jvm-host.jar /usr/share/funcatron/funcatron-jvm-host.jar
ENV FUNCATRON_GATEWAY_LISTEN=0.0.0.0:8080 \
    FUNCATRON_GATEWAY_ADMIN_LISTEN=0.0.0.0:9080 \
    FUNCATRON_TRON_LISTEN=0.0.0.0:3000 \
    FUNCATRON_RUNNER_ADMIN_LISTEN=0.0.0.0:4000 \
    FUNCATRON_STATE_DIR=/var/lib/funcatron \
    FUNCATRON_DRAIN_TIME=30s
USER 65532:65532
VOLUME ["/var/lib/funcatron"]
EXPOSE 8080 9080 3000 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/funcatron", "health"]
ENTRYPOINT ["/usr/local/bin/funcatron"]
CMD ["--help"]

# Nothing but certificates, time zones and a user: functions that are static
# executables run here, those that need an interpreter do not.
FROM gcr.io/distroless/static-debian12:nonroot
LABEL org.opencontainers.image.title="Funcatron" \
      org.opencontainers.image.description="Serverless for your own cluster" \
      org.opencontainers.image.source="https://github.com/funcatron/funcatron" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/funcatron /usr/local/bin/funcatron
COPY --from=build /out/sample-go.zip /usr/share/funcatron/sample-go.zip
COPY --from=build --chown=65532:65532 /out/state /var/lib/funcatron
# A container's own loopback reaches nobody. The Tron still refuses to start
# until it is given a token, or told to do without.
ENV FUNCATRON_GATEWAY_LISTEN=0.0.0.0:8080 \
    FUNCATRON_GATEWAY_ADMIN_LISTEN=0.0.0.0:9080 \
    FUNCATRON_TRON_LISTEN=0.0.0.0:3000 \
    FUNCATRON_RUNNER_ADMIN_LISTEN=0.0.0.0:4000 \
    FUNCATRON_STATE_DIR=/var/lib/funcatron \
    FUNCATRON_DRAIN_TIME=30s
USER 65532:65532
VOLUME ["/var/lib/funcatron"]
EXPOSE 8080 9080 3000 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/funcatron", "health"]
ENTRYPOINT ["/usr/local/bin/funcatron"]
CMD ["--help"]
