#!/usr/bin/env bash
# Prints cargo's target folder, wherever it is.
set -euo pipefail

cd "$(dirname "$0")/.."
cargo metadata --format-version 1 --no-deps --locked |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
