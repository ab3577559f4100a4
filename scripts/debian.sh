# shellcheck shell=bash
# A plain Debian in a folder. Sourced, in the project's folder and as root, by scripts that have `say`
# and `fail`.

debian_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The Debian release that the Dockerfile's RUNTIME_IMAGE stands for: debian:trixie-slim is trixie.
debian_release() {
    local image
    image=$(sed -n 's/^ARG RUNTIME_IMAGE=//p' Dockerfile)
    image=${image##*:}
    printf '%s\n' "${image%-slim}"
}

# Makes $2 a plain Debian of the release $1, which sees names and addresses as this machine does. The
# first of a release comes from the mirror, MIRROR unless it is Debian's own, and is kept for the next.
debian_root() {
    local suite=$1 root=$2 kept=$PWD/target/debian
    [ -d "$kept/$suite" ] || debian_bootstrap "$suite" "$kept"
    rm -rf --one-file-system "$root"
    mkdir -p "$(dirname "$root")"
    cp -a "$kept/$suite" "$root"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
}

debian_bootstrap() {
    local suite=$1 kept=$2
    scripts/install.sh debootstrap:debootstrap
    say "making a plain Debian $suite, once"
    mkdir -p "$kept"
    rm -rf "$kept/$suite.part"
    debootstrap --variant=minbase "$suite" "$kept/$suite.part" ${MIRROR:+"$MIRROR"} \
        >"$kept/debootstrap.log" ||
        fail "debootstrap failed: see $kept/debootstrap.log"
    mv "$kept/$suite.part" "$kept/$suite"
}

# in_debian ROOT COMMAND NAME=VALUE...: runs a line of shell in there, with nothing but these variables.
# In a mount namespace of its own, so that nothing stays mounted whatever happens.
in_debian() {
    local root=$1 command=$2
    shift 2
    unshare --mount sh -ec '
        root=$1 command=$2
        shift 2
        mount -t proc proc "$root/proc"
        exec chroot "$root" env -i HOME=/root DEBIAN_FRONTEND=noninteractive "$@" sh -ec "$command"
    ' sh "$root" "$command" PATH="$debian_path" "$@"
}
