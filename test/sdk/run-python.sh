#!/usr/bin/env bash
# The Python admin SDK. Arguments go to pytest.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$SDK_DIR/python"
need python3 "install Python 3.10 or newer with venv"
if [[ ! -f .venv/.installed || requirements.txt -nt .venv/.installed ]]; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  touch .venv/.installed
fi
start_server
.venv/bin/python -m pytest -q -p no:cacheprovider "$@" tests
