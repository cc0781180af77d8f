#!/usr/bin/env bash
# Install with the `test` extra and run the tests; further arguments go to pytest (--slow for everything).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh" test
"$PYTHON" -m pytest --numprocesses=2 --dist=worksteal "$@"
