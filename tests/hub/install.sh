#!/usr/bin/env bash
# What a hub of the tests stands on, into an environment that has the package: install.sh [VENV]
# The proxy comes from npm, as node comes with the environment.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
venv=${1:-$here/.venv}
export PATH="$venv/bin:$PATH"
command -v configurable-http-proxy >/dev/null ||
  npm install --global --prefix "$venv" --no-audit --no-fund --loglevel error \
    configurable-http-proxy@5.3.0
