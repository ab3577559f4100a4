#!/usr/bin/env bash
# release-check.sh TAG: whether TAG may be released: it is the version of Cargo.toml, of Cargo.lock and of
# the manifests, and CHANGELOG.md has a dated section for it, which is printed. Else says what is
# missing.
set -euo pipefail

cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "release-check: $*" >&2
    exit 1
}

main() {
    local tag=${1:-} VERSION file
    eval "$(scripts/stamp.sh | grep '^VERSION=')"
    [ "$tag" = "v$VERSION" ] || fail "the tag is \"$tag\", and the version of Cargo.toml $VERSION"
    grep -A 1 '^name = "flashduty-receiver"$' Cargo.lock | grep -qx "version = \"$VERSION\"" ||
        fail "Cargo.lock has another version: cargo update --workspace"
    while IFS= read -r file; do
        grep -q "newTag: \"\?${VERSION//./\\.}\"\?$" "$file" || fail "$file names another image"
    done < <(grep -rl 'newTag:' deploy/kubernetes)
    grep -qE "^## \[${VERSION//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
        fail "CHANGELOG.md has no \"## [$VERSION] - YYYY-MM-DD\""
    # What is told of this version, up to the one before.
    awk -v heading="## [$VERSION]" '
        index($0, heading) == 1 { found = 1; next }
        found && /^## / { exit }
        found { print }' CHANGELOG.md
}

main "$@"
