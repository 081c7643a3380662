#!/usr/bin/env bash
# Tests the Python module lift_video against the program lift.
#
#     scripts/test_python.sh [LIFT]      LIFT is the program, target/release/lift by default
#
# numpy, pyarrow, pandas and pytest go into an environment of their own in the cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

LIFT_BINARY="$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/lift}")"
export LIFT_BINARY
env="${XDG_CACHE_HOME:-$HOME/.cache}/lift-tests/python-module"
if ! "$env/bin/python" -c 'import numpy, pyarrow, pandas, pytest' 2>/dev/null; then
    # Debian and Ubuntu keep what makes environments in a package of its own.
    if ! python3 -c 'import ensurepip' 2>/dev/null && ! bring python3-venv; then
        echo "the tests of the Python module need Python 3 with its venv module" >&2
        exit 1
    fi
    python3 -m venv --clear "$env"
    "$env/bin/python" -m pip -q install numpy pyarrow pandas pytest
fi
PYTHONPATH=scripts/python "$env/bin/python" -m pytest -q -p no:cacheprovider tests/python
