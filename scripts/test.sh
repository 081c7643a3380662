#!/usr/bin/env bash
# Runs all tests in release mode, so that the program and the tests share one build of the dependencies.
#
# LIFT_SHARED=DIR adds the checks against the full set of golden files. They need full-size random models; the script that writes
# them needs numpy, which is installed into an environment in the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

if [ -n "${LIFT_SHARED:-}" ] && [ -z "${LIFT_PYTHON:-}" ]; then
    export LIFT_PYTHON=python3
    if ! python3 -c 'import numpy' 2>/dev/null; then
        env="${XDG_CACHE_HOME:-$HOME/.cache}/lift-tests/python"
        if ! "$env/bin/python" -c 'import numpy' 2>/dev/null; then
            # On Debian and Ubuntu, the module venv is in a package of its own.
            if ! python3 -c 'import ensurepip' 2>/dev/null && ! bring python3-venv; then
                echo "the checks against LIFT_SHARED need Python 3 with its venv module, or LIFT_PYTHON with numpy" >&2
                exit 1
            fi
            python3 -m venv --clear "$env"
            "$env/bin/python" -m pip -q install numpy
        fi
        export LIFT_PYTHON="$env/bin/python"
    fi
fi

cargo test --release --locked "$@"
# Arguments choose among the tests above.
if [ $# = 0 ]; then
    scripts/test_python.sh
    scripts/check_map.py
fi
