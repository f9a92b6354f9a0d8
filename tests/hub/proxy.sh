#!/usr/bin/env bash
# The proxy that JupyterHub stands behind, from npm into the environment: proxy.sh [DIR]
# It has a version of its own here, as node comes with the environment and not from the system.
set -euo pipefail
venv=${1:-$(cd "$(dirname "$0")/../.." && pwd)/.venv}
export PATH="$venv/bin:$PATH"
command -v configurable-http-proxy >/dev/null ||
  npm install --global --prefix "$venv" --no-audit --no-fund --loglevel error \
    configurable-http-proxy@5.3.0
