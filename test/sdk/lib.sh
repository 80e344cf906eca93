# Shared by the run-*.sh scripts: builds the server once and runs one of it on
# a free port with a fresh data folder. Sourced, not executed.
#
#   REBASE_BIN   a ready binary; without it the tree is built
#   SDK_KEEP     set to keep the server's log and data folder for a look
#
# After `start_server` these are exported: REBASE_BIN, REBASE_PORT, REBASE_LOG.

set -euo pipefail

SDK_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$SDK_DIR/../.." && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rebase-sdk.XXXXXX")
SERVER_PID=

cleanup() {
  local rc=$?
  if [[ -n $SERVER_PID ]]; then
    kill "$SERVER_PID" 2>/dev/null || true
    wait "$SERVER_PID" 2>/dev/null || true
  fi
  if ((rc != 0)) && [[ -s ${REBASE_LOG:-/dev/null} ]]; then
    echo "--- the server's last words:" >&2
    tail -n 40 "$REBASE_LOG" >&2
  fi
  if [[ -n ${SDK_KEEP:-} ]]; then
    echo "kept: $WORK" >&2
  else
    rm -rf "$WORK"
  fi
  exit "$rc"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

need() { # need <command> <what to install>
  command -v "$1" >/dev/null || {
    echo "$1 is missing: $2" >&2
    exit 2
  }
}

ensure_bin() {
  if [[ -z ${REBASE_BIN:-} ]]; then
    need go "install Go 1.26"
    REBASE_BIN=$WORK/rebase
    (cd "$ROOT" && CGO_ENABLED=0 go build -o "$REBASE_BIN" ./cmd/rebase)
  fi
  [[ -x $REBASE_BIN ]] || {
    echo "REBASE_BIN=$REBASE_BIN is not an executable" >&2
    exit 2
  }
  export REBASE_BIN
}

start_server() { # start_server [flags of `rebase serve`]
  ensure_bin
  export REBASE_LOG=$WORK/server.log
  mkdir -p "$WORK/data"
  : >"$REBASE_LOG" # it is read before the server has opened it
  "$REBASE_BIN" serve --listen 127.0.0.1:0 --data "$WORK/data" "$@" >"$REBASE_LOG" 2>&1 &
  SERVER_PID=$!
  local url=
  for _ in $(seq 1 150); do
    url=$(sed -n 's/^listening on \(https\{0,1\}:[^ ]*\).*/\1/p' "$REBASE_LOG" | head -n 1)
    [[ -n $url ]] && break
    kill -0 "$SERVER_PID" 2>/dev/null || break
    sleep 0.1
  done
  [[ -n $url ]] || {
    echo "the server did not start" >&2
    exit 1
  }
  export REBASE_PORT=${url##*:}
  REBASE_PORT=${REBASE_PORT%/}
}

# npm_ci installs exactly what the lock file says, and only when it changed.
npm_ci() {
  need node "install Node.js 20 or newer"
  if [[ ! -f node_modules/.package-lock.json || package-lock.json -nt node_modules/.package-lock.json ]]; then
    npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
  fi
}
