#!/usr/bin/env bash
# install.sh WHAT:PACKAGE...: installs with apt each package whose WHAT is not there, and says so.
# WHAT is a command, a C header (libc.h) or a Python module (yaml.py). Asks nothing; as root, or
# with sudo.
#
# Debian starts the service of a package when it installs it, and again at each boot. Nobody who runs
# tests wants a web server on port 80 for it: services are neither started nor left enabled. What
# was installed before is left as it is.
#
# Of PostgreSQL only the programs are wanted: no cluster is made, and none is started.
set -euo pipefail

say() { printf '%s\n' "install: $*" >&2; }

main() {
    local missing=() pair package
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
    for package in "${missing[@]}"; do
        leave_off "$(service_of "$package")"
    done
}

is_there() {
    case $1 in
        libc.h) printf '#include <stdio.h>\n' | cc -E - >/dev/null 2>&1 ;;
        *.py) python3 -c "import ${1%.py}" 2>/dev/null ;;
        postgres) compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null ;;
        *) PATH=$PATH:/usr/sbin:/sbin type -P "$1" >/dev/null ;;
    esac
}

install() {
    case " $* " in
        *" postgresql "*) install_without_cluster "$@" ;;
        *) apt_install "$@" ;;
    esac
}

# The package makes a cluster and starts it, unless it is told not to while it is installed.
install_without_cluster() {
    local word=/etc/postgresql-common/createcluster.d/zz-none.conf done=0
    apt_install postgresql-common || return
    printf 'create_main_cluster = false\n' | as_root tee "$word" >/dev/null
    apt_install "$@" || done=$?
    as_root rm -f "$word"
    return "$done"
}

# Nothing is started by the packages' scripts: with SYSTEMD_OFFLINE systemctl leaves the system
# manager alone, and in runlevel 1 no init script is to be run. A policy-rc.d would do the same, but
# would go on doing it for everybody if this process were killed.
apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1 PREVLEVEL=N \
        apt-get install -qq --yes --no-install-recommends "$@" >/dev/null
}

# The service that comes with a package, if one does.
service_of() {
    case $1 in
        nginx-light) echo nginx ;;
        haproxy | redis-server | nats-server | pgbouncer | prometheus) echo "$1" ;;
    esac
}

# Keeps the service $1 from being started at the next boot.
leave_off() {
    [ -n "$1" ] || return 0
    say "leaving the service $1 off: systemctl enable --now $1, should you want it"
    if command -v systemctl >/dev/null; then
        as_root env SYSTEMD_OFFLINE=1 systemctl --quiet disable "$1"
    else
        as_root update-rc.d "$1" disable
    fi >/dev/null 2>&1 || say "could not disable the service $1"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

main "$@"
