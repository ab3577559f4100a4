#!/usr/bin/env bash
# Gets what the tests look at configurations with as an editor does: taplo, by npm-tools.sh.
# When it cannot be had, that is said and is no failure: the tests then check less, and say so as well.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "editor-tools: $*" >&2; }

main() {
    scripts/npm-tools.sh editor-tools tests/it/editor ||
        say "NO taplo: it could not be installed, so no editor looks at what the schema marks"
}

main
