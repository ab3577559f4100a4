#!/usr/bin/env bash
# Writes what the binaries and the image are made of, dist/flashduty-receiver-VERSION.cdx.json, with
# cargo-cyclonedx. DIST names another folder.
set -euo pipefail

cd "$(dirname "$0")/.."

main() {
    local stamp dist=${DIST:-dist}
    stamp=$(scripts/stamp.sh)
    mapfile -t stamp <<<"$stamp"
    export "${stamp[@]}"
    cargo cyclonedx --format json --spec-version 1.5 --features "${FEATURES:-nats,redis,kafka}" \
        --target "${TARGET:-$(uname -m)-unknown-linux-musl}" --override-filename=bom
    mkdir -p "$dist"
    # It writes beside the manifest.
    mv bom.json "$dist/flashduty-receiver-$VERSION.cdx.json"
}

main
