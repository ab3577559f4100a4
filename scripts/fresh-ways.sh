# shellcheck shell=bash disable=SC2034,SC2154
# The ways in which scripts/fresh-follow.sh, which sources this and shares its variables, follows what the
# README shows. Each gets the text of a command or a block, writes to the log what is said, and fails when
# that failed.

# The receiver that serves, as if in a terminal of its own, and its log.
serving='' serve_log=''

# Begins a log for what comes next.
new_log() {
    part=$((part + 1))
    log=$place/line-$(printf %03d "$line").$part.log
    printf '%s\n' "$1" >"$log"
    said_nothing=$(stat -c %s "$log")
    say "line $line: ${1%%$'\n'*}"
}

# In the shell that all of it is typed in, for what it sets and where it goes.
typed() {
    eval "$1" >>"$log" 2>&1 </dev/null
}

# In the background, with a process group of its own as in an interactive shell, for Ctrl-C.
begin() {
    set -m
    eval "$1" >>"$log" 2>&1 </dev/null &
    job=$!
    set +m
}

# Waits until $1 stands in the log; not longer than what was begun runs, nor than an hour.
seen() {
    local until=$((SECONDS + 3600))
    until grep -qaF -- "$1" "$log"; do
        if ! kill -0 "$job" 2>/dev/null || [ "$SECONDS" -ge "$until" ]; then
            kill -KILL -- "-$job" 2>/dev/null
            return 1
        fi
        sleep 0.5
    done
}

# To the group $1, and waits for its end, which may be by the signal.
ctrl_c() {
    local code=0 until=$((SECONDS + 60))
    kill -INT -- "-$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null; do
        [ "$SECONDS" -lt "$until" ] || kill -KILL -- "-$1"
        sleep 0.2
    done
    wait "$1" || code=$?
    [ "$code" = 0 ] || [ "$code" = 130 ]
}

played() {
    begin "$1"
    seen 'Still serving; Ctrl-C ends it.' && ctrl_c "$job"
}

# Goes on until everything is done.
served() {
    begin "$1"
    serving=$job serve_log=$log
    seen 'ready for pushes'
}

# A stream has no last line that could be waited for.
watched() {
    begin "$1"
    sleep 5
    kill -0 "$job" 2>/dev/null || return 1
    ctrl_c "$job" || return 1
    case $1 in
        curl*) grep -qa 'event: position' "$log" ;;
    esac
}

answered() {
    typed "$1" && grep -qa 'HTTP/1.1 200 ' "$log"
}

# Who makes a role and a database has a server, and asks it as its superuser.
with_database() {
    local programs home=$HOME/database
    if [ -z "${PGHOST:-}" ]; then
        programs=$(dirname /usr/lib/postgresql/*/bin/initdb)
        "$programs/initdb" -D "$home" --auth=trust --encoding=UTF8 --locale=C --no-sync \
            >>"$log" 2>&1 || return 1
        "$programs/pg_ctl" start -w -D "$home" -l "$place/database.log" \
            -o "-c listen_addresses= -k $home" >>"$log" 2>&1 </dev/null || return 1
        export PGHOST=$home
    fi
    # A password, and once more, for whatever asks.
    eval "$1" >>"$log" 2>&1 < <(printf 'only for this\nonly for this\n')
}

# Without a container engine: the log of the receiver that serves here.
docker() {
    cat "$serve_log"
}

# Something must come of it.
stood_in() {
    outcome='stood in'
    excuse "$1"
    typed "$1" && [ "$(stat -c %s "$log")" -gt "$said_nothing" ]
}

left_out() {
    outcome='LEFT OUT'
    excuse "$1"
}

# Remembers why a command is not followed as it stands.
excuse() {
    local row begin why proof
    for row in "${exceptions[@]}"; do
        IFS='|' read -r _ begin why proof <<<"$row"
        if [[ $1 == "$begin"* ]]; then
            notes+=("line $line: $outcome: ${1%%$'\n'*}: $why; see $proof")
        fi
    done
}

shown() {
    new_log "${1%%$'\n'*}"
    outcome=shown
}

# The reader's own becomes config.toml; any other is judged by itself.
configuration() {
    new_log "a configuration: ${1%%$'\n'*}"
    case $1 in
        *'"file:push-token"'*) take_over "$1" ;;
        *) judge "$1" ;;
    esac
}

# Adds the lines that are new. A receiver that serves reads them by itself.
take_over() {
    local before until
    touch config.toml
    before=$(reloads)
    { cat config.toml && { grep -vxFf config.toml <<<"$1" || true; }; } >config.toml.new
    mv config.toml.new config.toml
    flashduty-receiver --config config.toml check >>"$log" 2>&1 || return 1
    [ -n "$serving" ] || return 0
    until=$((SECONDS + 30))
    until [ "$(reloads)" -gt "$before" ]; do
        if [ "$SECONDS" -ge "$until" ]; then
            echo "the receiver that serves has not read it" >>"$log"
            return 1
        fi
        sleep 0.2
    done
}

reloads() {
    [ -z "$serve_log" ] || grep -cF 'the configuration was read again and is in force' "$serve_log"
}

# In a folder of its own, with the secrets where it says that they are.
judge() {
    local folder file secret secrets
    folder=$(mktemp -d)
    mapfile -t secrets < <(grep -o '"file:/[^"]*' <<<"$1" | cut -d : -f 2-)
    for file in "${secrets[@]}"; do
        secret=0123456789abcdef0123456789abcdef
        [[ $file != *url* ]] || secret=https://tools.example.com/hook/$secret
        sudo mkdir -p "$(dirname "$file")"
        printf '%s\n' "$secret" | sudo tee "$file" >/dev/null
    done
    printf '%s' "$1" >"$folder/config.toml"
    (cd "$folder" && flashduty-receiver --config config.toml check) >>"$log" 2>&1
}

# What is for Prometheus it reads itself, with the rules where the README says that they are.
data() {
    local file
    new_log "$2: ${1%%$'\n'*}"
    file=$(mktemp)
    printf '%s' "$1" >"$file"
    case $2 in
        json) python3 -m json.tool "$file" >>"$log" 2>&1 ;;
        *) python3 -c 'import sys, yaml; list(yaml.safe_load_all(open(sys.argv[1])))' "$file" >>"$log" 2>&1 ;;
    esac || return 1
    [[ $1 == *scrape_configs:* ]] || return 0
    sudo install -D --mode=0644 "$here/deploy/prometheus/rules.yaml" \
        /etc/prometheus/flashduty-receiver/rules.yaml
    promtool check config "$file" >>"$log" 2>&1
}
