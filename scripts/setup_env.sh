# Sourced by the other scripts: makes or reuses .venv beside setup.py and installs the project with the extras in $1.
# Afterwards $PYTHON is the environment's Python and the current folder is the project's.

fail() {
  echo "error: $*" >&2
  exit 2
}

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
extras=$1
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || fail "this needs Linux on x86-64, not $(uname -s) on $(uname -m)"
venv=${CIR_TF_VENV:-.venv}
PYTHON=$venv/bin/python

if ! "$PYTHON" -c "" 2>/dev/null; then
  for found in python3.11 python3.12 python3.10 python3.13 python3 ""; do
    [ -n "$found" ] || fail "no Python 3.10 to 3.13 found; install one (Debian: apt-get install python3.11-venv)"
    "$found" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null && break
  done
  "$found" -c "import venv, ensurepip" 2>/dev/null ||
    fail "$found has no venv; install it (Debian: apt-get install python3-venv)"
  echo "making $venv with $found"
  "$found" -m venv "$venv" || fail "cannot make a virtual environment in $PWD/$venv"
fi

# Installed once, and again only when setup.py or the extras change.
stamp="$(cat setup.py cir_tf/__init__.py | sha256sum | cut -c1-64) $PWD"
if ! grep -qxF "$stamp" "$venv/installed${extras:+-$extras}" 2>/dev/null; then
  echo "installing cir_tf${extras:+ with the extra '$extras'} into $venv: about 2.7 GB, one to three minutes"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}" ||
    fail "the installation failed: see the lines above"
  echo "$stamp" >"$venv/installed${extras:+-$extras}"
fi
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
