#!/usr/bin/env bash
# npm-tools.sh FOLDER WHERE: gets what package-lock.json in WHERE lists, with npm, into FOLDER in the target
# folder, and says so; nothing, where that is there already. node and npm come with apt.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "npm-tools: $*" >&2; }

main() {
    local place where=$2
    place=$(scripts/target.sh)/$1
    # Put there last, when the rest is complete.
    ! cmp -s "$where/package-lock.json" "$place/installed.json" || return 0
    scripts/install.sh node:nodejs npm:npm
    say "installing what $where/package.json names with npm, into $place"
    rm -rf "$place"
    mkdir -p "$place"
    cp "$where/package.json" "$where/package-lock.json" "$place"
    (cd "$place" && npm ci --silent --ignore-scripts --no-audit --no-fund --fetch-retries 1)
    cp "$where/package-lock.json" "$place/installed.json"
}

main "$@"
