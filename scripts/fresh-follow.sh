#!/usr/bin/env bash
# fresh-follow.sh
#     Follows README.md from its first block to its last, as a reader does in the place that
#     scripts/fresh-root.sh made: commands are typed in one shell, configurations are given to the
#     receiver, what runs until Ctrl-C gets that. Then says what became of each block.
# fresh-follow.sh --list [FILE]
#     Says how it would follow each command and block, and does none of it.
#
# A command or kind of block that it does not know is an error: nothing is passed over by itself. What
# cannot be done in a bare Debian stands below, with the test that proves it instead; a row of which
# README.md has no more need, or whose test is gone, is an error as well.
set -euo pipefail

cd "$(dirname "$0")/.."
here=$PWD
readme=$here/README.md
place=${HOME:-/root}/followed

# How it is followed | how the command begins | why not as it stands | the test that proves it.
exceptions=(
    'left_out|flashduty-receiver recover |it asks the API of Flashduty for the history of a customer|a_person_recovers_what_is_older_than_the_store_politely'
    'left_out|flashduty-receiver spill |it wants what a receiver with a database left behind|a_running_receiver_takes_a_spill_whose_own_receiver_is_gone_and_delivers_what_is_in_it'
    'stood_in|docker compose logs |there is no container engine, so what the receiver logged here was read|compose_has_the_ports_and_files_of_the_binary_and_time_for_the_drain'
)
# What is shown, and not for typing: how it begins | what it is.
pictures=(
    ' Flashduty ──▶|the way of a push'
    'ok       configuration |what the doctor may print'
)

# Of each block of the README.
languages=() lines=() texts=() titles=() outcomes=() times=()
# What has to be said in the end.
notes=()

say() { printf '%s\n' "fresh-follow: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
# shellcheck source=scripts/fresh-ways.sh
. scripts/fresh-ways.sh

main() {
    local number
    case ${1:-} in
        '') [ -e /etc/fresh-root ] || fail "it installs whatever the README says: run make fresh-check" ;;
        --list) readme=${2:-$readme} ;;
        *) fail "usage: fresh-follow.sh [--list [FILE]]" ;;
    esac
    take_apart
    if [ "${1:-}" = --list ]; then
        list
        return
    fi
    list >/dev/null
    mkdir -p "$place"
    for number in "${!texts[@]}"; do
        follow "$number"
    done
    end_service
    report
}

take_apart() {
    local line at=0 block=-1 open=
    while IFS= read -r line; do
        at=$((at + 1))
        if [ "${line:0:3}" != '```' ]; then
            [ -z "$open" ] || texts[block]+=$line$'\n'
        elif [ -n "$open" ]; then
            open=
        else
            open=yes
            block=$((block + 1))
            languages[block]=${line:3} lines[block]=$at texts[block]=
        fi
    done <"$readme"
    [ -z "$open" ] || fail "line ${lines[block]}: this block has no end"
}

# The commands of the block $1, each with its further lines and a NUL behind it.
commands() {
    local command='' line
    while IFS= read -r line; do
        command+=${command:+$'\n'}$line
        case $command in '' | '#'*) command='' ;; esac
        if [ -n "$command" ] && is_whole "$command"; then
            printf '%s\0' "$command"
            command=''
        fi
    done < <(lines_of "$1")
    # What has no end: the shell will say so.
    [ -z "$command" ] || printf '%s\0' "$command"
}

lines_of() {
    case ${languages[$1]} in
        console) sed -n 's/^\$ //p' <<<"${texts[$1]}" ;;
        *) printf '%s' "${texts[$1]}" ;;
    esac
}

is_whole() {
    [[ $1 != *\\ ]] && bash -n <<<"$1" 2>/dev/null
}

# Which function of scripts/fresh-ways.sh follows a command, whatever the comment behind it says.
way_of() {
    local command=${1%% #*} row way begin
    for row in "${exceptions[@]}"; do
        IFS='|' read -r way begin _ <<<"$row"
        if [[ $command == "$begin"* ]]; then
            echo "$way"
            return
        fi
    done
    case $command in
        'make run' | 'make run '*) echo played ;;
        'flashduty-receiver '*' serve' | 'flashduty-receiver '*' serve '*) echo served ;;
        'flashduty-receiver tail' | 'flashduty-receiver tail '* | 'curl -N '*) echo watched ;;
        'curl -i '*) echo answered ;;
        'createuser '* | 'createdb '*) echo with_database ;;
        'sudo apt-get '* | 'sudo install '* | 'make test' | 'make test '* | 'cargo build '*) echo typed ;;
        'mkdir '* | 'cd '* | '(umask 077; openssl '* | 'SECRET='*) echo typed ;;
        'flashduty-receiver '* | 'curl -s '* | 'promtool '*) echo typed ;;
        *) return 1 ;;
    esac
}

# The same of a block that is none of commands.
way_of_block() {
    local row
    case ${languages[$1]} in
        toml) echo configuration ;;
        yaml | json) echo data ;;
        '')
            for row in "${pictures[@]}"; do
                if [[ ${texts[$1]} == "${row%%|*}"* ]]; then
                    echo shown
                    return
                fi
            done
            return 1
            ;;
        *) return 1 ;;
    esac
}

list() {
    local number command way typed bad=''
    for number in "${!texts[@]}"; do
        case ${languages[number]} in
            sh | bash | console)
                mapfile -d '' -t typed < <(commands "$number")
                for command in "${typed[@]}"; do
                    way=$(way_of "$command") || way=unknown
                    row "$number" "$way" "$command"
                done
                ;;
            *)
                way=$(way_of_block "$number") || way=unknown
                row "$number" "$way" "${texts[number]}"
                ;;
        esac
    done
    tables_are_right || bad=yes
    [ -z "$bad" ] || exit 1
}

row() {
    local first=${3%%$'\n'*}
    printf '%5s  %-13s  %s\n' "${lines[$1]}" "$2" "$first"
    if [ "$2" = unknown ]; then
        say "line ${lines[$1]}: how to follow this is not known, ${languages[$1]:-without a language}: $first"
        bad=yes
    fi
}

tables_are_right() {
    local row begin proof right=0
    for row in "${exceptions[@]}"; do
        IFS='|' read -r _ begin _ proof <<<"$row"
        grep -rq "fn $proof(" tests src || { say "there is no test $proof" && right=1; }
        is_used "$begin" || right=1
    done
    for row in "${pictures[@]}"; do
        is_used "${row%%|*}" || right=1
    done
    return "$right"
}

is_used() {
    grep -q "^$1" "$readme" && return
    say "nothing in $readme begins so any more: $1"
    return 1
}

follow() {
    local number=$1 began=$SECONDS text=${texts[$1]}
    line=${lines[number]} part=0 outcome=ok
    titles[number]=${text%%$'\n'*}
    case ${languages[number]} in
        sh | bash | console) terminal "$number" ;;
        *) "$(way_of_block "$number")" "$text" "${languages[number]}" ;;
    esac || outcome=FAILED
    outcomes[number]=$outcome times[number]=$((SECONDS - began))
    [ "$outcome" != FAILED ] || show_failure
}

# All commands of a block, up to one that fails.
terminal() {
    local command typed before=$PWD failed=0
    mapfile -d '' -t typed < <(commands "$1")
    # Files of the project are named where the reader is in its folder.
    [[ ${texts[$1]} != *deploy/* ]] || cd "$here"
    for command in "${typed[@]}"; do
        new_log "$command"
        "$(way_of "$command")" "$command" || failed=1
        remember_remarks
        [ "$failed" = 0 ] || break
    done
    [[ ${texts[$1]} != *deploy/* ]] || cd "$before"
    return "$failed"
}

# What the project's scripts and tests say that they could not do.
remember_remarks() {
    local remark
    while IFS= read -r remark; do
        notes+=("line $line: $remark")
    done < <(grep -aE '^(NOT CHECKED: |[a-z-]+: NO )' "$log")
}

# Ctrl-C where the receiver serves, after all the rest.
end_service() {
    local number=${#texts[@]} began=$SECONDS
    [ -n "$serving" ] || return 0
    line=$(wc -l <"$readme") log=$serve_log outcome=ok
    { ctrl_c "$serving" && grep -qF 'stopped; everything acknowledged' "$log"; } || outcome=FAILED
    lines[number]='' titles[number]='Ctrl-C where the receiver serves'
    outcomes[number]=$outcome times[number]=$((SECONDS - began))
    [ "$outcome" != FAILED ] || show_failure
}

show_failure() {
    say "line $line: FAILED; the end of $log:"
    tail -n 30 "$log" | sed 's/^/    /' >&2
}

report() {
    local number note failed=0
    printf '\n%5s  %5s  %-8s  %7s  %s\n' block line result seconds 'what, by its first line'
    for number in "${!outcomes[@]}"; do
        printf '%5s  %5s  %-8s  %7s  %s\n' "$((number + 1))" "${lines[number]}" "${outcomes[number]}" \
            "${times[number]}" "${titles[number]:0:72}"
        [ "${outcomes[number]}" != FAILED ] || failed=$((failed + 1))
    done
    printf '\n'
    for note in "${notes[@]}"; do
        printf 'MIND: %s\n' "$note"
    done
    if [ "$failed" -gt 0 ]; then
        printf '\n%s of %s FAILED\n' "$failed" "${#outcomes[@]}"
        return 1
    fi
    printf '\nREADME.md can be followed from top to bottom: %s steps, %s s\n' "${#outcomes[@]}" "$SECONDS"
}

main "$@"
