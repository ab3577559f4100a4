#!/usr/bin/env bash
# Prints where cargo put the binary of the profile $1, wherever its target folder is.
set -euo pipefail

cd "$(dirname "$0")/.."
target=$(cargo metadata --format-version 1 --no-deps --locked |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
printf '%s\n' "$target/$1/flashduty-receiver"
