#!/usr/bin/env bash
# Runs `rebase bench fanout writes` with npm's firebase-server as the baseline, in one run.
# Arguments go to rebase bench. Needs Node.js; REBASE_BIN is the program, built if not given.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$here/../.."
port="${BASELINE_PORT:-5999}"
if [ -z "${REBASE_BIN:-}" ]; then
  REBASE_BIN="$root/bin/rebase"
  (cd "$root" && go build -o "$REBASE_BIN" ./cmd/rebase)
fi
(cd "$here" && npm ci --ignore-scripts --no-audit --no-fund >/dev/null)
node "$here/serve.js" "$port" >/dev/null &
pid=$!
trap 'kill $pid' EXIT
for _ in $(seq 100); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  sleep 0.1
done
"$REBASE_BIN" bench fanout writes --baseline "http://127.0.0.1:$port" --baseline-pid "$pid" "$@"
