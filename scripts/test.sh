#!/usr/bin/env bash
# Runs all tests, in release mode: one build of the dependencies serves the program and the tests.
#
# LIFT_SHARED=DIR adds the checks against the full set of goldens; the full-size random models they need are written by a
# script that wants numpy, which goes into an environment of its own in the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

if [ -n "${LIFT_SHARED:-}" ] && [ -z "${LIFT_PYTHON:-}" ]; then
    export LIFT_PYTHON=python3
    if ! python3 -c 'import numpy' 2>/dev/null; then
        env="${XDG_CACHE_HOME:-$HOME/.cache}/lift-tests/python"
        if ! "$env/bin/python" -c 'import numpy' 2>/dev/null; then
            python3 -m venv "$env"
            "$env/bin/pip" -q install numpy
        fi
        export LIFT_PYTHON="$env/bin/python"
    fi
fi

cargo test --release --locked "$@"
