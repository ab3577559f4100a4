#!/usr/bin/env bash
# Carries out the Dockerfile's last stage in a Debian root made by debootstrap, for machines without
# a container engine. The result is target/image/root; scripts/image-try.sh tries it.
#
# Needs root. debootstrap is installed with apt when it is missing. BINARY names the binary to copy
# (default: target/release/flashduty-receiver), MIRROR the Debian mirror.
#
# The Dockerfile itself is what is carried out, so the two cannot drift apart: an instruction that
# this script does not know is an error.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$PWD/target/image
root=$work/root
binary=${BINARY:-target/release/flashduty-receiver}
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

say() { printf '%s\n' "image-rootfs: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

main() {
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0"
    [ -x "$binary" ] || fail "there is no $binary: run make image-check, or cargo build --release --features nats,redis,kafka, or set BINARY"
    debian_base
    rm -rf "$root" "$work"/{env,workdir,user,entrypoint,cmd,healthcheck,build.log}
    cp -a "$base" "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
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

# The Debian release that RUNTIME_IMAGE stands for: debian:trixie-slim is trixie.
release() {
    local image
    image=$(sed -n 's/^ARG RUNTIME_IMAGE=//p' Dockerfile)
    image=${image##*:}
    printf '%s\n' "${image%-slim}"
}

# Sets base to a plain Debian root, made once and kept.
debian_base() {
    local suite
    suite=$(release)
    base=$work/base-$suite
    [ -d "$base" ] && return
    mkdir -p "$work"
    rm -rf "$base.part"
    if ! command -v debootstrap >/dev/null; then
        say "installing debootstrap with apt"
        apt-get update -qq
        apt-get install -qq --yes --no-install-recommends debootstrap >/dev/null
    fi
    say "making a plain Debian $suite, once"
    debootstrap --variant=minbase "$suite" "$base.part" "${MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log" ||
        fail "debootstrap failed: see $work/debootstrap.log"
    mv "$base.part" "$base"
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

# A private mount namespace, so that nothing stays mounted whatever happens.
in_root() {
    unshare --mount sh -ec '
        mount -t proc proc "$1/proc"
        exec chroot "$1" env -i PATH="$3" HOME=/root DEBIAN_FRONTEND=noninteractive sh -ec "$2"
    ' sh "$root" "$1" "$path" >>"$work/build.log" 2>&1 || fail "that failed: see $work/build.log"
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
