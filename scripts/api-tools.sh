#!/usr/bin/env bash
# Gets what the tests hold the API's description against the running receiver with: schemathesis, with
# pip, into a Python environment of its own in the target folder, and says so.
# When it cannot be had, that is said and is no failure: the tests then check less, and say so as well.
set -euo pipefail

cd "$(dirname "$0")/.."
wanted=4.32.5

say() { printf '%s\n' "api-tools: $*" >&2; }

main() {
    schemathesis || say "NO schemathesis: it could not be installed, so the API is not held against its description"
}

schemathesis() {
    local place
    place=$(scripts/target.sh)/api-tools
    case "$("$place/bin/schemathesis" --version 2>/dev/null)" in
        *" $wanted") return ;;
    esac
    scripts/install.sh python3:python3 ensurepip.py:python3-venv || return
    say "installing schemathesis $wanted with pip, into $place"
    rm -rf "$place"
    python3 -m venv "$place" || return
    "$place/bin/pip" install --quiet --disable-pip-version-check --retries 1 "schemathesis==$wanted"
}

main
