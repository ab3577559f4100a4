#!/usr/bin/env bash
# image-build.sh ARGUMENT...: builds the image with a container engine (ENGINE, docker unless set) and
# tells it what is built. The arguments go to the engine, such as --tag or --platform.
set -euo pipefail

cd "$(dirname "$0")/.."

main() {
    local arguments=() line
    while IFS= read -r line; do
        arguments+=(--build-arg "$line")
    done < <(scripts/stamp.sh)
    arguments+=(--build-arg "SOURCE_URL=${SOURCE_URL:-}")
    exec "${ENGINE:-docker}" build "${arguments[@]}" "$@" .
}

main "$@"
