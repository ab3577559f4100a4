#!/usr/bin/env bash
# Carries out the Dockerfile's last stage in a Debian root made by debootstrap, for machines without
# a container engine. The result is target/image/root; scripts/image-try.sh tries it.
#
# Needs root. debootstrap is installed with apt when it is missing. BINARY names the binary to copy
# (default: target/release/flashduty-receiver), MIRROR another Debian mirror.
#
# The Dockerfile itself is what is carried out, so the two cannot drift apart: an instruction that
# this script does not know is an error.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$PWD/target/image
root=$work/root
binary=${BINARY:-target/release/flashduty-receiver}

say() { printf '%s\n' "image-rootfs: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

main() {
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0"
    [ -x "$binary" ] || fail "there is no $binary: run make image-check, or cargo build --release --features nats,redis,kafka, or set BINARY"
    debian_root "$(debian_release)" "$root"
    rm -rf "$work"/{env,workdir,user,entrypoint,cmd,healthcheck,build.log}
    local instruction
    while IFS= read -r instruction; do
        say "$instruction"
        carry_out "${instruction%% *}" "${instruction#* }"
    done < <(instructions)
    rm "$root/etc/resolv.conf"
    say "made $root"
}

# The last stage's instructions, one a line, without comments and line continuations.
instructions() {
    sed -e '/^[[:space:]]*#/d' Dockerfile |
        sed -e ':more' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;b more' -e '}' |
        awk 'NF { if ($1 == "FROM") { n = 0 } lines[n++] = $0 } END { for (i = 0; i < n; i++) print lines[i] }'
}

# The words of an instruction's JSON array, one a line.
words() {
    local array=${1#*[}
    array=${array%]*}
    tr ',' '\n' <<<"$array" | sed -e 's/^[[:space:]]*"//' -e 's/"[[:space:]]*$//'
}

carry_out() {
    local instruction=$1 rest=$2
    case $instruction in
        # What an engine notes beside the files.
        FROM | EXPOSE | VOLUME | ARG | LABEL) ;;
        RUN) in_root "$rest" ;;
        COPY) copy "$rest" ;;
        ENV) printf '%s\n' "$rest" >>"$work/env" ;;
        WORKDIR)
            mkdir -p "$root$rest"
            printf '%s\n' "$rest" >"$work/workdir"
            ;;
        USER) printf '%s\n' "$rest" >"$work/user" ;;
        ENTRYPOINT) words "$rest" >"$work/entrypoint" ;;
        CMD) words "$rest" >"$work/cmd" ;;
        HEALTHCHECK) words "$rest" >"$work/healthcheck" ;;
        *) fail "the Dockerfile's $instruction is not known here: teach it to carry_out" ;;
    esac
}

in_root() {
    in_debian "$root" "$1" >>"$work/build.log" 2>&1 || fail "that failed: see $work/build.log"
}

copy() {
    local from to
    read -r from to <<<"${1#--from=build }"
    case $1 in
        --from=build*) from=$binary ;;
    esac
    install -D --mode="$([ -x "$from" ] && echo 0755 || echo 0644)" "$from" "$root$to"
}

main "$@"
