#!/usr/bin/env bash
# The Go admin SDK. Arguments go to `go test`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$SDK_DIR/go-admin"
start_server
go vet ./...
go test -count=1 "$@" ./...
