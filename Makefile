# Everything that is done to this repository. "make help" lists it.

GO        ?= go
VERSION   ?= 0.1.0-dev
BIN       := bin/rebase
FUZZTIME  ?= 15s
SOAK      ?= 30

# What the SDK suites drive. Not for the Go tests, which build what they need.
test-node test-browser test-sdks: export REBASE_BIN := $(abspath $(BIN))

.PHONY: help build cross lint test test-go test-node test-browser test-acme test-sdks bench bench-log fuzz soak clean
.DEFAULT_GOAL := help

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/rebase, one file that needs nothing else
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./cmd/rebase

cross: ## see that it compiles for the other systems
	@set -e; for system in linux/arm64 linux/arm darwin/arm64 windows/amd64; do echo $$system; \
		CGO_ENABLED=0 GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null ./cmd/rebase; done

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

test: test-go test-node test-browser test-acme ## the Go tests, the JavaScript SDK in Node and in Chromium, and certificates by ACME

test-go: ## the Go tests, with the race detector; and those that count allocations, or repeat only so, without
	$(GO) test -count=1 -timeout 20m -run '^TestFetch$$' ./test/engines
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run Alloc ./rules
	$(GO) test -run Simulation ./vlog

test-node: build ## the JavaScript and Node Admin SDKs against a server
	test/sdk/run-node.sh

test-browser: build ## the JavaScript SDK in Chromium, over every transport
	test/sdk/run-browser.sh

test-acme: ## certificates from a real ACME server, pebble, which is fetched
	test/acme/run.sh

test-sdks: build ## the Admin SDKs for Go, Java and Python against a server
	test/sdk/run-go-admin.sh
	test/sdk/run-java.sh
	test/sdk/run-python.sh
	test/sdk/run-closed.sh

bench: build ## measure a server on this machine
	$(BIN) bench

bench-log: ## measure the engines of the log beside each other, with real etcd and ZooKeeper servers
	REBASE_BENCH=log $(GO) test -count=1 -timeout 30m -run TestEngines -v ./bench/logs

fuzz: ## run every fuzz test for FUZZTIME (15s)
	@set -e; $(GO) list ./... | while read -r package; do \
		$(GO) test -list '^Fuzz' $$package | grep '^Fuzz' | while read -r name; do \
			echo "--- $$package $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package; \
		done || exit 1; \
	done

soak: cross ## crashes, hostile clients and simulations at full size, then the SDK suite with the race detector for SOAK (30) minutes
	REBASE_CRASH_KILLS=100 $(GO) test -count=1 -timeout 30m ./test/crash
	REBASE_HOSTILE=soak $(GO) test -count=1 -timeout 30m ./test/hostile
	REBASE_FAULTS=soak $(GO) test -count=1 -timeout 60m ./test/cluster
	REBASE_SEEDS=100000 $(GO) test -count=1 -timeout 60m ./vlog/native/core ./vlog
	if [ "$$($(GO) env GOARCH)" = amd64 ]; then GOARCH=386 CGO_ENABLED=0 $(GO) test -timeout 30m $$($(GO) list ./... | grep -v /test/); fi # as on small devices
	$(GO) build -race -o bin/rebase-race ./cmd/rebase
	@set -e; end=$$(( $$(date +%s) + 60 * $(SOAK) )); round=0; \
	while [ $$(date +%s) -lt $$end ]; do \
		round=$$((round + 1)); echo "--- round $$round"; \
		REBASE_BIN=$(abspath bin/rebase-race) test/sdk/run-node.sh; \
	done

clean: ## remove what was built
	rm -rf bin test/artifacts
