#!/bin/sh
# Certificates by ACME, from a real ACME server: pebble, built from its module.
set -eu
cd "$(dirname "$0")"
bin=${PEBBLE_BIN:-${TMPDIR:-/tmp}/rebase-pebble}
version=v2.10.1
for program in pebble pebble-challtestsrv; do
	[ -x "$bin/$program" ] || GOBIN=$bin go install "github.com/letsencrypt/pebble/v2/cmd/$program@$version"
done
REBASE_PEBBLE=$bin exec go test -count=1 ./ "$@"
