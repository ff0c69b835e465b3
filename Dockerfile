# The operator, statically linked, and what it reads: CA roots, user and resolver configuration; no shell, no packages.
# Each platform compiles natively; one that is not the builder's own is emulated, which takes very long.
# The toolchain of rust-toolchain.toml, which the context lacks: it would bring the formatter and the linter along.
# The digest is that of the list of all platforms, so it holds for each.
FROM docker.io/library/rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1 AS build
ARG TARGETARCH
# The newest C library, since it is linked into the operator.
RUN apt-get update && apt-get install -y --no-install-recommends libc6-dev
WORKDIR /source
COPY . .
ARG SOURCE_DATE_EPOCH=0
RUN tools/image/build "$TARGETARCH" /image

# The bill of materials: build --target sbom --output type=local,dest=DIR
FROM scratch AS sbom
COPY --from=build /image/sbom.cdx.json /

# `make image-oci` reads what follows: one label a line.
FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="syniverse-token-operator"
LABEL org.opencontainers.image.description="Keeps a live Syniverse access token in a Kubernetes Secret"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="${VERSION}"
LABEL org.opencontainers.image.revision="${REVISION}"
LABEL org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/rootfs/ /
USER 65532:65532
ENTRYPOINT ["/syniverse-token-operator"]
