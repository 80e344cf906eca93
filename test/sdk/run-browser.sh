#!/usr/bin/env bash
# Chromium against the demo page and against a bare page, over every transport.
# Screenshots go to test/artifacts.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$SDK_DIR/browser"
if ! command -v chromium >/dev/null; then
  need apt-get "install Chromium"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
CHROMIUM=$(command -v chromium)
export CHROMIUM
export ARTIFACTS=$ROOT/test/artifacts
mkdir -p "$ARTIFACTS"
npm_ci
start_server --demo
node --test --test-reporter=spec --test-concurrency=1 --test-timeout=180000 "$@" test/*.test.mjs
