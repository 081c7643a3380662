#!/usr/bin/env bash
# Runs all tests in release mode, so that the program and the tests share one build of the dependencies.
#
# LIFT_SHARED=DIR adds the checks against the full set of golden files. They need full-size random models, which a script in Python writes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

bring_python
cargo test --release --locked "$@"
# Arguments choose among the tests above.
if [ $# = 0 ]; then
    scripts/test_python.sh
    scripts/check_map.py
fi
