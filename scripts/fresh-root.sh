#!/usr/bin/env bash
# Makes a bare Debian in target/fresh/root and has scripts/fresh-follow.sh follow the README in it, from
# the first block to the last, as a user with sudo who was given Rust and a clone of HEAD, and no more.
#
# Needs root, here by sudo, and 20 GB. debootstrap and git are installed with apt when they are missing.
# SUITE names another release of Debian than the Dockerfile's, MIRROR its mirror, RUST another toolchain
# than the one in use here. KEEP=yes leaves the root when all went well, too, for a look around.
#
# Of this machine there is in it: the toolchain, read-only; devices and the network; how that is reached
# (names, proxies, authorities, settings of apt, cargo, pip and npm). What is mounted and what runs in
# there is gone when this script ends, however it ends.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$PWD/target/fresh
root=$work/root
home=/home/newcomer
clone=$home/flashduty-receiver
bundle=/etc/ssl/certs/ca-certificates.crt

say() { printf '%s\n' "fresh-root: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
# shellcheck source=scripts/debian.sh
. scripts/debian.sh

main() {
    local rust suite
    rust=$(toolchain)
    if [ "$(id -u)" != 0 ]; then
        exec sudo -nE env HOME="$HOME" CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUST="$rust" \
            scripts/fresh-root.sh
    fi
    scripts/install.sh git:git
    nobody_listens
    suite=${SUITE:-$(debian_release)}
    say "making $root: $suite, with git, sudo and $("$rust/bin/rustc" --version)"
    debian_root "$suite" "$root"
    find_environment
    reach_the_network
    furnish
    copy_settings
    hand_over
    follow "$rust"
}

# Where the compiler, cargo and the rest are themselves: rustup puts something else in the way.
toolchain() {
    local place=${RUST:-} tool
    [ -n "$place" ] || place=$(rustc --print sysroot) || fail "there is no rustc here: set RUST"
    for tool in rustc cargo cargo-clippy cargo-fmt rustfmt; do
        [ -x "$place/bin/$tool" ] || fail "there is no $place/bin/$tool: set RUST to a toolchain with all of it"
    done
    [ "$place" != /usr ] || fail "a toolchain in a folder of its own is wanted, as rustup makes it: set RUST"
    printf '%s\n' "$place"
}

# The network is this machine's, and the README's receiver takes the default ports.
nobody_listens() {
    local port
    for port in 8080 9090; do
        ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || fail "something listens on port $port: end it first"
    done
}

# Sets environment to the variables by which clients find the network. Files of this machine are not in
# there; those with authorities are named all the same, as these will be in the bundle.
find_environment() {
    local name
    environment=()
    while IFS= read -r name; do
        case $name in
            *TOKEN* | *PASSWORD*) continue ;;
            http_proxy | https_proxy | all_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | ALL_PROXY | NO_PROXY) ;;
            CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTR* | CARGO_SOURCE_* | PIP_* | npm_config_* | NPM_CONFIG_*) ;;
            SSL_CERT_FILE | CURL_CA_BUNDLE | REQUESTS_CA_BUNDLE | NODE_EXTRA_CA_CERTS | GIT_SSL_CAINFO) ;;
            *) continue ;;
        esac
        case $name=${!name} in
            *CERT*=/* | *CA_BUNDLE=/* | *CAINFO=/* | *cafile=/* | *CAFILE=/*) environment+=("$name=$bundle") ;;
            *=/*) ;;
            *) environment+=("$name=${!name}") ;;
        esac
    done < <(compgen -e)
}

reach_the_network() {
    cp /etc/hosts "$root/etc/hosts"
    # sudo looks for the name of its own machine.
    grep -qw -- "$(uname -n)" /etc/hosts || printf '127.0.1.1 %s\n' "$(uname -n)" >>"$root/etc/hosts"
    if command -v apt-config >/dev/null; then
        apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries|Force)' >"$root/etc/apt/apt.conf.d/90here" || true
    fi
}

# What somebody has who got so far as to read the README: a user who may become root, what fetched the
# sources, and what Rust and crates are fetched with.
furnish() {
    local log=$work/furnish.log
    in_debian "$root" '
        apt-get update -qq
        apt-get install -qq --yes --no-install-recommends ca-certificates git sudo
        useradd --create-home --uid 1000 --shell /bin/bash newcomer
        {
            echo "newcomer ALL=(ALL:ALL) NOPASSWD: ALL"
            echo "Defaults env_keep += \"http_proxy https_proxy no_proxy\""
        } >/etc/sudoers.d/newcomer
    ' "${environment[@]}" </dev/null >"$log" 2>&1 || fail "that failed: see $log"
    trust_as_here
    in_debian "$root" update-ca-certificates </dev/null >>"$log" 2>&1 || fail "that failed: see $log"
}

# Authorities that this machine trusts beside Debian's, a file each, as update-ca-certificates wants them.
trust_as_here() {
    local here=${SSL_CERT_FILE:-$bundle}
    [ -s "$here" ] || return 0
    awk -v folder="$root/usr/local/share/ca-certificates" '
        /^-----BEGIN CERTIFICATE-----/ { one = "" }
        { one = one $0 "\n" }
        /^-----END CERTIFICATE-----/ {
            if (NR == FNR) {
                known[one] = 1
            } else if (!(one in known)) {
                number += 1
                file = folder "/here-" number ".crt"
                printf "%s", one >file
                close(file)
            }
        }' "$root$bundle" "$here"
}

# Where cargo, pip and npm are told of registries that stand in for the public ones.
copy_settings() {
    local file
    for file in /etc/pip.conf /etc/npmrc /usr/etc/npmrc /usr/local/etc/npmrc; do
        copy_file "$file" "$file"
    done
    for file in .config/pip/pip.conf .pip/pip.conf .npmrc; do
        copy_file "$HOME/$file" "$home/$file"
    done
    copy_file "${CARGO_HOME:-$HOME/.cargo}/config.toml" "$home/.cargo/config.toml"
}

copy_file() {
    [ -f "$1" ] || return 0
    mkdir -p "$(dirname "$root$2")"
    cp --preserve=mode "$1" "$root$2"
}

hand_over() {
    [ -z "$(git status --porcelain)" ] || say "what is not committed here is NOT tried"
    # With links the objects would be given away with it.
    git clone --quiet --no-hardlinks "$PWD" "$root$clone"
    [ "$(git -C "$root$clone" rev-parse HEAD)" = "$(git rev-parse HEAD)" ] || fail "the clone is of another commit"
    chown -R --no-dereference 1000:1000 "$root$home"
    # By which the script that goes in knows where it is.
    touch "$root/etc/fresh-root"
}

follow() {
    local code=0
    say "following the README; logs are in $root$home/followed"
    # In a session of its own, without a terminal: nothing may ask, and Ctrl-C comes here alone. Here in the
    # background it would be ignored by whatever does not ask for it, in there it is what ends a command.
    setsid unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 rust=$2
        shift 2
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /sys "$root/sys"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
        mkdir "$root/usr/local/rust"
        mount --bind "$rust" "$root/usr/local/rust"
        mount -o remount,bind,ro "$root/usr/local/rust"
        # This shell stays, as process 1 and for the orphans.
        chroot "$root" setpriv --reuid=1000 --regid=1000 --init-groups "$@" || exit "$?"
        exit 0
    ' bash "$root" "$1" env -i -C "$clone" --default-signal=INT,QUIT \
        HOME="$home" USER=newcomer LOGNAME=newcomer SHELL=/bin/bash \
        LANG=C.UTF-8 TERM=dumb PATH=/usr/local/rust/bin:/usr/local/bin:/usr/bin:/bin "${environment[@]}" \
        scripts/fresh-follow.sh </dev/null &
    inside=$!
    # All of it ends with the process that made its namespaces.
    trap 'kill -KILL "$inside" 2>/dev/null || true' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    wait "$inside" || code=$?
    trap - EXIT
    rm -rf "$work/followed"
    cp -r "$root$home/followed" "$work/followed" || say "it left no logs"
    if [ "$code" = 0 ] && [ -z "${KEEP:-}" ]; then
        rm -rf --one-file-system "$root"
    fi
    say "the logs are in $work/followed"
    exit "$code"
}

main
