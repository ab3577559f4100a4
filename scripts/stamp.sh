#!/usr/bin/env bash
# Prints what is built here, a NAME=VALUE a line: the version, the commit, and when that was made, which
# is the date of whatever is built from it. Each that is in the environment stays as it is there; what
# is not known is empty.
set -euo pipefail

cd "$(dirname "$0")/.."

main() {
    local version commit epoch date=
    version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
    commit=${BUILD_COMMIT:-$(commit_here)}
    epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --no-show-signature --format=%ct 2>/dev/null || true)}
    [ -z "$epoch" ] || date=$(date --utc --date="@$epoch" +%Y-%m-%dT%H:%M:%SZ)
    printf '%s\n' "VERSION=$version" "BUILD_COMMIT=$commit" "SOURCE_DATE_EPOCH=$epoch" "BUILD_DATE=$date"
}

# Sources that differ from their commit are of no commit.
commit_here() {
    git diff --quiet HEAD 2>/dev/null || return 0
    git rev-parse HEAD
}

main
