#!/usr/bin/env bash
# dist.sh TARGET: builds the static binary for TARGET, such as x86_64-unknown-linux-musl, and packs it as
# dist/flashduty-receiver-VERSION-TARGET.tar.gz, with its licence. What would differ from one machine or
# day to the next, such as paths, owners and times, is kept out of both. DIST names another folder than dist.
#
# The machine must be of TARGET's architecture: what is C in the tree is compiled with musl-gcc.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "dist: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

main() {
    local target=${1:-} dist=${DIST:-dist} stamp name stage
    case $target in
        "$(uname -m)"-unknown-linux-musl) ;;
        *) fail "the target is $(uname -m)-unknown-linux-musl here, not \"$target\"" ;;
    esac
    # Also for the build.
    stamp=$(scripts/stamp.sh)
    mapfile -t stamp <<<"$stamp"
    export "${stamp[@]}"
    [ -n "$BUILD_COMMIT" ] || fail "these sources are no commit's: commit them, or set BUILD_COMMIT"
    build "$target"
    name=flashduty-receiver-$VERSION-$target
    stage=$(scripts/target.sh)/dist/$name
    rm -rf "$stage"
    mkdir -p "$stage" "$dist"
    # With what the README leads to.
    cp -r "$(scripts/target.sh)/$target/release/flashduty-receiver" LICENSE ./*.md config deploy docs "$stage"
    try "$stage/flashduty-receiver"
    pack "$name" >"$dist/$name.tar.gz"
    say "made $dist/$name.tar.gz"
}

build() {
    local flags
    # The functions that it would call are in a library of the compiler, which is not linked.
    [ "$(uname -m)" != aarch64 ] || export CFLAGS="${CFLAGS:-} -mno-outline-atomics"
    # The paths of this machine are no part of the binary.
    flags="--remap-path-prefix=$PWD=/src --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    # CC is for librdkafka, whose own build knows no targets.
    CC=musl-gcc RUSTFLAGS="$flags" \
        cargo build --release --locked --target "$1" --features "${FEATURES:-nats,redis,kafka}"
}

# It needs nothing but itself, and says what it is.
try() {
    local libraries
    libraries=$(ldd "$1" 2>/dev/null || true)
    case $libraries in
        *'=>'*) fail "it is linked with libraries: $libraries" ;;
    esac
    [ "$("$1" --version)" = "flashduty-receiver $VERSION (commit $BUILD_COMMIT, build date $BUILD_DATE)" ] ||
        fail "it says that it is another one: $("$1" --version)"
}

pack() {
    tar --create --directory="$(scripts/target.sh)/dist" --sort=name --format=gnu \
        --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$1" |
        gzip --no-name --best
}

main "$@"
