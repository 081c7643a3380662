#!/usr/bin/env bash
# Tests the Python module lift_video against the program lift.
#
#     scripts/test_python.sh [LIFT]      LIFT is the program, target/release/lift by default
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

LIFT_BINARY="$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release/lift}")"
export LIFT_BINARY
bring_python
PYTHONPATH=scripts/python "$LIFT_PYTHON" -m pytest -q -p no:cacheprovider tests/python
