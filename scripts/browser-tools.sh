#!/usr/bin/env bash
# Gets what the tests look at the console with, and says what it installs:
# - Chromium, node and, where there is none, a font with Chinese characters, with apt;
# - playwright-core, which drives Chromium, and axe-core, which looks for what shuts people out, with
#   npm, by npm-tools.sh.
# No browser is downloaded but the package. What cannot be had is said and is no failure: the tests
# then look at nothing in a browser, and say so as well.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "browser-tools: $*" >&2; }

main() {
    scripts/install.sh chromium:chromium node:nodejs npm:npm ||
        say "NO chromium, or no node: it could not be installed, so the console is not looked at"
    characters || say "NO font with Chinese characters: pictures of the console show boxes instead"
    scripts/npm-tools.sh console-tools tests/console ||
        say "NO playwright-core: npm could not install it, so the console is not looked at"
}

# Whichever font it is that has them.
characters() {
    [ -z "$(fc-list :lang=zh-cn 2>/dev/null)" ] || return 0
    scripts/install.sh no-chinese-font:fonts-wqy-microhei
}

main
