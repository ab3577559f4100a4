#!/usr/bin/env bash
# Gets what the tests check the Kubernetes manifests with, and says what it installs:
# - kustomize, with apt, where there is neither it nor kubectl;
# - kubernetes-validate, which brings the schemas of Kubernetes' objects along, with pip, into a
#   Python environment of its own in the target folder (about 150 MB).
# What cannot be had is said and is no failure: the tests then check less, and say so as well.
set -euo pipefail

cd "$(dirname "$0")/.."
wanted=1.37.0

say() { printf '%s\n' "manifest-tools: $*" >&2; }

main() {
    builder || say "NO kustomize: no package of that name here, so no overlay will be built"
    schemas || say "NO kubernetes-validate: it could not be installed, so manifests will only be parsed"
}

builder() {
    type -P kustomize >/dev/null || type -P kubectl >/dev/null && return
    # Not every release of Debian has it.
    apt-cache show kustomize >/dev/null 2>&1 && scripts/install.sh kustomize:kustomize
}

schemas() {
    local place
    place=$(scripts/target.sh)/manifest-tools
    [ "$("$place/bin/kubernetes-validate" --version 2>/dev/null)" != "$wanted" ] || return 0
    scripts/install.sh python3:python3 ensurepip.py:python3-venv || return
    say "installing kubernetes-validate $wanted with pip, into $place"
    rm -rf "$place"
    python3 -m venv "$place" || return
    "$place/bin/pip" install --quiet --disable-pip-version-check --retries 1 "kubernetes-validate==$wanted"
}

main
