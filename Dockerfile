# The product's images, one for each program: `docker build --target identity .`, and so for opportunities, analytics, notifier and gateway.
# Without a target it is the gateway's. `make images` makes all; docs/run-with-compose.md says how they are run.

# Where programs are built, and where what they need beside them is taken from.
ARG RUST_IMAGE=rust:1.95-bookworm

# The manifests alone, with sources that say nothing: it comes out the same until a manifest changes, whatever else does.
FROM ${RUST_IMAGE} AS manifests
WORKDIR /source
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock ! -path './.cargo/*' \
        ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -name build.rs -delete \
    && mkdir -p bench/src deploy/local/src tests/src \
    && touch bench/src/lib.rs deploy/local/src/lib.rs tests/src/lib.rs \
    && find . -path '*/src/lib.rs' -exec truncate --size 0 {} + \
    && echo 'fn main() {}' >/main.rs \
    && find . \( -path '*/src/main.rs' -o -name build.rs \) -exec cp /main.rs {} \; \
    && find . -type d -empty -delete

# What others have written, built once for each Cargo.lock; then our own.
FROM ${RUST_IMAGE} AS programs
WORKDIR /source
ENV CARGO_INCREMENTAL=0
COPY --from=manifests /source .
RUN cargo build --locked --profile dist --bins \
        --package identity --package opportunities --package analytics --package notifier --package gateway
COPY . .
# Newer than what was built of the sources that said nothing.
RUN find crates gateway migrations proto services -type f -exec touch {} + \
    && cargo build --locked --profile dist --bins \
        --package identity --package opportunities --package analytics --package notifier --package gateway \
    && mkdir /programs \
    && cp target/dist/identity target/dist/opportunities target/dist/analytics target/dist/notifier target/dist/gateway /programs/

# What a program needs beside it: the C library, the authorities whose certificates are trusted, and a user without rights.
FROM ${RUST_IMAGE} AS surroundings
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
COPY --from=programs /programs /programs
COPY LICENSE /surroundings/usr/share/doc/sales-pipeline/copyright
RUN ldd /programs/* | grep -o '/[^ ]*\.so[^ ]*' | sort -u | xargs cp --dereference --parents --target-directory /surroundings \
    && cp --parents /usr/share/doc/libc6/copyright /usr/share/doc/libgcc-s1/copyright /surroundings \
    && mkdir -p /surroundings/etc/ssl/certs \
    && cp --dereference /etc/ssl/certs/ca-certificates.crt /surroundings/etc/ssl/certs/ \
    && echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >/surroundings/etc/passwd \
    && echo 'nonroot:x:65532:' >/surroundings/etc/group \
    && echo 'hosts: files dns' >/surroundings/etc/nsswitch.conf

# Nothing else: no shell, no package manager. Nothing is written, so the file system may be read-only.
FROM scratch AS base
COPY --from=surroundings /surroundings /
USER 65532:65532
# /metrics, /healthz and /readyz, not for the public.
ENV OPS_ADDR=0.0.0.0:9000
EXPOSE 9000

FROM base AS service
# gRPC
ENV LISTEN_ADDR=0.0.0.0:7000
EXPOSE 7000

FROM service AS identity
COPY --from=programs /programs/identity /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/local/bin/identity", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/identity"]
CMD ["serve"]

FROM service AS opportunities
COPY --from=programs /programs/opportunities /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/local/bin/opportunities", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/opportunities"]
CMD ["serve"]

FROM service AS analytics
COPY --from=programs /programs/analytics /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/local/bin/analytics", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/analytics"]
CMD ["serve"]

FROM service AS notifier
COPY --from=programs /programs/notifier /usr/local/bin/
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/local/bin/notifier", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/notifier"]
CMD ["serve"]

FROM base AS gateway
COPY --from=programs /programs/gateway /usr/local/bin/
# The REST API
ENV LISTEN_ADDR=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s CMD ["/usr/local/bin/gateway", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/gateway"]
CMD ["serve"]
