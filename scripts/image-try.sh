#!/usr/bin/env bash
# Runs the image that scripts/image-rootfs.sh made as an engine would (own processes, own network,
# read-only root, /data as a volume, user and command from the Dockerfile) and checks that it
# behaves: healthy, guarded, and gone with exit code 0 after SIGTERM.
#
# Needs root. iproute2 is installed with apt when it is missing.
set -euo pipefail

cd "$(dirname "$0")/.."
work=$PWD/target/image
root=$work/root
own_config=$root/etc/flashduty-receiver/config.toml

say() { printf '%s\n' "image-try: $*" >&2; }
fail() {
    say "FAILED: $*"
    exit 1
}

main() {
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0"
    [ -s "$work/entrypoint" ] || fail "there is no image yet: run scripts/image-rootfs.sh"
    scripts/install.sh ip:iproute2
    mapfile -t entrypoint <"$work/entrypoint"
    mapfile -t command <"$work/cmd"
    mapfile -t healthcheck <"$work/healthcheck"
    mapfile -t environment <"$work/env"
    environment+=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
    user=$(cat "$work/user")
    workdir=$(cat "$work/workdir")

    rm -f "$own_config"
    isolated "${entrypoint[@]}" check >"$work/check.log" 2>&1 ||
        fail "the image's own configuration is refused: see $work/check.log"
    say "ok: check accepts the image's defaults, without a config.toml"
    # Proves that the user's file wins over the image's defaults, and spares us most of 15 s.
    printf '[server]\ndrain_delay = "1s"\n' >"$own_config"
    start
    observe
    stop
    rm "$own_config"
    say "all of it holds"
}

# The mounts of a container with a read-only root, then the command as the image's user. Expects
# namespaces of its own; the command takes the place of this process, so it is process 1.
isolated() {
    unshare --mount --pid --fork --kill-child --net bash -euc '
        root=$1 user=$2
        shift 2
        ip link set lo up
        mount --bind "$root" "$root"
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs -o "uid=${user%:*},gid=${user#*:},mode=0750" data "$root/data"
        mount -o remount,bind,ro "$root"
        exec chroot --userspec="$user" "$root" "$@"
    ' bash "$root" "$user" env -i -C "$workdir" "${environment[@]}" "$@"
}

# The same root, seen from inside the running container; as an exec of the engine would.
inside() {
    nsenter --target "$init" --mount --pid --net \
        chroot --userspec="$user" "$root" env -i -C "$workdir" "${environment[@]}" "$@"
}

start() {
    isolated "${entrypoint[@]}" "${command[@]}" >"$work/stdout.log" 2>"$work/stderr.log" &
    shell=$!
    trap 'kill -KILL "$init" "$shell" 2>/dev/null || true' EXIT
    local began=$SECONDS
    init=
    until [ -n "$init" ] && inside "${healthcheck[@]}" >"$work/health.log" 2>&1; do
        kill -0 "$shell" 2>/dev/null || fail "it ended at once: see $work/stderr.log and stdout.log"
        [ $((SECONDS - began)) -lt 40 ] || fail "it is not healthy after 40 s: see $work/health.log"
        sleep 0.2
        # The shell waits for unshare, whose only child is process 1 of the container.
        local unshare
        unshare=$(cut -d' ' -f1 "/proc/$shell/task/$shell/children")
        [ -z "$unshare" ] || init=$(cut -d' ' -f1 "/proc/$unshare/task/$unshare/children")
    done
    say "ok: healthy after $((SECONDS - began)) s, by the image's own HEALTHCHECK"
}

observe() {
    expect "process 1 is tini" tini cat /proc/1/comm
    expect "the receiver runs as user 65532" "$user" bash -c \
        'cat /proc/[0-9]*/status | awk "\$1 == \"Name:\" { ours = \$2 ~ /^flashduty-rec/ }
            ours && \$1 == \"Uid:\" { uid = \$3 } ours && \$1 == \"Gid:\" { print uid \":\" \$3 }"'
    expect "the root is read-only" "no" bash -c \
        'for f in / /etc /srv /tmp; do [ -w "$f" ] && exec echo "$f"; done; echo no'
    expect "the inbox is on the volume" "$user" stat -c %u:%g /data/inbox.db
    expect "certificates are there" "yes" bash -c \
        '[ -s /etc/ssl/certs/ca-certificates.crt ] && echo yes'
    expect "the public port is ready" "HTTP/1.1 200 OK" bash -c "$(ask 8080 GET /readyz)"
    expect "a stranger is refused" "HTTP/1.1 403 Forbidden" bash -c "$(ask 8080 POST /webhook)"
    expect "metrics are open" "HTTP/1.1 200 OK" bash -c "$(ask 9090 GET /metrics)"
    expect "the API is not" "HTTP/1.1 401 Unauthorized" bash -c "$(ask 9090 GET /api/v1/status)"
}

# expect WHAT ANSWER COMMAND...: the command, run inside, prints ANSWER.
expect() {
    local what=$1 wanted=$2 got
    shift 2
    got=$(inside "$@") || true
    [ "$got" = "$wanted" ] || fail "$what: wanted \"$wanted\", got \"$got\""
    say "ok: $what"
}

# A bash line that sends one request and prints the status line, so that the image needs no curl.
ask() {
    printf 'exec 3<>/dev/tcp/127.0.0.1/%s; printf "%s %s HTTP/1.1\\r\\nHost: localhost\\r\\n' "$1" "$2" "$3"
    printf 'Content-Length: 0\\r\\nConnection: close\\r\\n\\r\\n" >&3; IFS= read -r line <&3; echo "${line%%$%s}"' "'\\r'"
}

stop() {
    local began=$SECONDS code=0
    kill -TERM "$init"
    ( sleep 30 && kill -KILL "$init" ) 2>/dev/null &
    local watchdog=$!
    wait "$shell" || code=$?
    kill "$watchdog" 2>/dev/null || true
    [ "$code" = 0 ] || fail "exit code $code after SIGTERM: see $work/stdout.log and stderr.log"
    local took=$((SECONDS - began))
    [ "$took" -lt 12 ] || fail "the stop took $took s, though config.toml asks for 1 s of draining"
    say "ok: SIGTERM ended it with exit code 0 within $took s; config.toml won over the image's default"
}

main "$@"
