#!/usr/bin/env bash
# The Java admin SDK. Arguments go to Maven, e.g. -Dtest=TransactionTest.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$SDK_DIR/java"
need mvn "install Maven and a JDK of 17 or newer"
start_server
mvn -B -ntp "$@" test
