#!/usr/bin/env bash
# Gets what the tests check the Kubernetes manifests with, and says what it installs:
# - kustomize, with apt, where there is neither it nor kubectl;
# - kubernetes-validate, which brings the schemas of Kubernetes' objects along, by python-tool.sh
#   (about 150 MB).
# What cannot be had is said and is no failure: the tests then check less, and say so as well.
set -euo pipefail

cd "$(dirname "$0")/.."

say() { printf '%s\n' "manifest-tools: $*" >&2; }

main() {
    builder || say "NO kustomize: no package of that name here, so no overlay will be built"
    scripts/python-tool.sh manifest-tools kubernetes-validate 1.37.0 ||
        say "NO kubernetes-validate: it could not be installed, so manifests will only be parsed"
}

builder() {
    type -P kustomize >/dev/null || type -P kubectl >/dev/null && return
    # Not every release of Debian has it.
    apt-cache show kustomize >/dev/null 2>&1 && scripts/install.sh kustomize:kustomize
}

main
