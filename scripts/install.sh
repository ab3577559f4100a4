#!/usr/bin/env bash
# install.sh WHAT:PACKAGE...: installs with apt each package whose WHAT is not there, and says so.
# WHAT is a command, a C header (libc.h) or a Python module (yaml.py). Asks nothing; as root, or
# with sudo.
set -euo pipefail

say() { printf '%s\n' "install: $*" >&2; }

main() {
    local missing=() pair
    for pair in "$@"; do
        is_there "${pair%%:*}" || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing with apt: ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        say "there is no apt-get here: install them by hand, then try again"
        exit 1
    fi
    # The list of packages may be there and current enough; a fresh container has none.
    install "${missing[@]}" || { as_root apt-get update -qq && install "${missing[@]}"; }
}

is_there() {
    case $1 in
        libc.h) printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1 ;;
        *.py) python3 -c "import ${1%.py}" 2>/dev/null ;;
        *) PATH=$PATH:/usr/sbin:/sbin type -P "$1" >/dev/null ;;
    esac
}

install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

main "$@"
