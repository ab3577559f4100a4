# The image of flashduty-receiver. Where there is no container engine, scripts/image-rootfs.sh reads
# the last stage of this file and carries out its steps in a plain Debian root.
#
#   docker build -t flashduty-receiver .
#   docker build --build-arg BUILD_IMAGE=mirror.example/rust:1.95-slim-trixie \
#                --build-arg RUNTIME_IMAGE=mirror.example/debian:trixie-slim .
#
# make image does the first and says as well what is built: see scripts/stamp.sh.
#
# The build image must not have a newer glibc than the runtime image: same Debian release in both.
ARG BUILD_IMAGE=rust:1.95-slim-trixie
ARG RUNTIME_IMAGE=debian:trixie-slim

FROM ${BUILD_IMAGE} AS build
# librdkafka builds itself with make, and its configure script insists on a C++ compiler.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Benches and tests are not copied, so the manifest must not name their files.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN awk '/^\[/ { skip = /^\[\[(bench|test|example)\]\]/ } !skip' Cargo.toml > Cargo.build.toml \
    && mv Cargo.build.toml Cargo.toml
# The dependencies alone: this layer is built again only when the manifest or the lock file changes.
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --features nats,redis,kafka \
    && rm -r src
COPY build.rs build.rs
COPY src src
COPY config config
# The history is not copied, so git cannot be asked.
ARG BUILD_COMMIT=""
ARG SOURCE_DATE_EPOCH=""
# COPY keeps the files' times, which may be older than the placeholder that was just compiled.
RUN find src -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --features nats,redis,kafka

FROM ${RUNTIME_IMAGE} AS runtime
# bash for exec sinks and for looking around, certificates for https sinks, tini as process 1: it
# reaps what exec sinks leave behind and passes signals on.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends bash ca-certificates tini \
    && rm -rf /var/lib/apt/lists/*
# A numeric user, so that Kubernetes can check runAsNonRoot; it owns nothing but /data.
RUN groupadd --gid 65532 flashduty \
    && useradd --key UID_MAX=65532 --uid 65532 --gid 65532 --no-create-home --home-dir /data --shell /usr/sbin/nologin flashduty \
    && install --directory --owner=65532 --group=65532 --mode=0750 /data \
    && install --directory /etc/flashduty-receiver
# The image's defaults are the lowest layer but the built-in ones, so a mounted config.toml wins.
COPY deploy/image/default.toml /srv/flashduty-receiver/config/default.toml
COPY --from=build /src/target/release/flashduty-receiver /usr/local/bin/flashduty-receiver
COPY LICENSE /usr/share/doc/flashduty-receiver/LICENSE
ENV FLASHDUTY_CONFIG=/etc/flashduty-receiver/config.toml
WORKDIR /srv/flashduty-receiver
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8080 9090
# The start waits up to store.lock_wait (30 s) for a predecessor to let go of the inbox.
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s --retries=3 CMD ["/usr/local/bin/flashduty-receiver", "health"]
ARG VERSION=""
ARG BUILD_COMMIT=""
ARG BUILD_DATE=""
ARG SOURCE_URL=""
LABEL org.opencontainers.image.title="flashduty-receiver" \
    org.opencontainers.image.description="Receives Flashduty webhooks, makes them durable, answers within the second and hands them to your tools" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${BUILD_COMMIT}" \
    org.opencontainers.image.created="${BUILD_DATE}" \
    org.opencontainers.image.source="${SOURCE_URL}"
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/flashduty-receiver"]
CMD ["serve"]
