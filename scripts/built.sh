#!/usr/bin/env bash
# Prints where cargo put the binary of the profile $1, wherever its target folder is.
set -euo pipefail

printf '%s\n' "$("$(dirname "$0")/target.sh")/$1/flashduty-receiver"
