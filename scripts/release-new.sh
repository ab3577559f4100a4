#!/usr/bin/env bash
# release-new.sh release TAG | release-new.sh image NAME: fails when there is a release of TAG, or an image of that
# NAME, and when neither gh nor docker can tell: what people may have is never made anew.
set -euo pipefail

fail() {
    printf '%s\n' "release-new: $*" >&2
    exit 1
}

main() {
    local what=${1:-} name=${2:-}
    [ -n "$name" ] || fail "say which: release TAG, or image NAME"
    case $what in
        release) release "$name" ;;
        image) image "$name" ;;
        *) fail "there are releases and images, and no \"$what\"" ;;
    esac
}

release() {
    local there
    there=$(gh release list --limit 1000 --json tagName --jq '.[].tagName') ||
        fail "which releases there are cannot be told"
    ! grep -qxF -- "$1" <<<"$there" || fail "there is a release $1: people may have it, so make the next one"
}

image() {
    local said
    docker buildx version >/dev/null || fail "there is no docker buildx here, which would tell"
    ! said=$(docker buildx imagetools inspect "$1" 2>&1) ||
        fail "there is an image $1: people may have it, so make the next one"
    # A registry that does not answer does not say that there is none, nor does a proxy's 404.
    grep -qE -e ': not found$' -e 'manifest unknown|name unknown' <<<"$said" ||
        fail "whether there is an image $1 cannot be told: $said"
}

main "$@"
