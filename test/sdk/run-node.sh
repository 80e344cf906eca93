#!/usr/bin/env bash
# The JavaScript client SDK and the Node admin SDK. Arguments go to `node --test`,
# e.g. run-node.sh --test-name-pattern='lost'. The closing lines are TAP-like totals.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$SDK_DIR/node"
npm_ci
start_server
node --test --test-reporter=spec --test-concurrency=2 --test-timeout=180000 "$@" test/*.test.mjs
