#!/usr/bin/env bash
# python-tool.sh FOLDER PROGRAM VERSION: gets PROGRAM, whose package is called like it, with pip into a Python
# environment of its own, FOLDER in the target folder, and says so; nothing, where that has it in this VERSION.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "python-tool: $*" >&2; }

main() {
    local place program=$2 version=$3
    place=$(scripts/target.sh)/$1
    # What is said is the version alone, or the last word of a line.
    case " $("$place/bin/$program" --version 2>/dev/null)" in
        *" $version") return ;;
    esac
    scripts/install.sh python3:python3 ensurepip.py:python3-venv
    say "installing $program $version with pip, into $place"
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/pip" install --quiet --disable-pip-version-check --retries 1 "$program==$version"
}

main "$@"
