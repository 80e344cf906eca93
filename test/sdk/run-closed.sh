#!/usr/bin/env bash
# Service accounts: the Admin SDKs with a key file, against a closed server over HTTPS. Arguments name the suites: node go python java; none are all.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need openssl "install openssl, to make a certificate"
ensure_bin
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$WORK/tls.key" -out "$WORK/tls.crt" -days 2 -subj /CN=localhost \
  -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" 2>/dev/null
start_server --no-open --tls-cert "$WORK/tls.crt" --tls-key "$WORK/tls.key"

# Over https the SDKs take the database from the host's name: ?ns= is dropped by some, and to the Java SDK means an emulator. For the host
# "localhost" the server takes the database "default", while the Java SDK asks for the database "localhost".
export REBASE_URL=https://localhost:$REBASE_PORT REBASE_SECRET_FILE=$WORK/data/root-secret SSL_CERT_FILE=$WORK/tls.crt
"$REBASE_BIN" auth project create shop --database default --database localhost
"$REBASE_BIN" auth service-account create --project shop backend -o "$WORK/key.json"
"$REBASE_BIN" auth project create blog
"$REBASE_BIN" auth service-account create --project blog backend -o "$WORK/other.json"
cat >"$WORK/rules.json" <<'RULES'
{"rules": {"users": {"$uid": {".read": "auth.uid === $uid", ".write": "auth.uid === $uid"}}}}
RULES
for ns in default localhost; do
  curl -sS --fail --cacert "$WORK/tls.crt" -X PUT --data-binary @"$WORK/rules.json" \
    -H "Authorization: Bearer $(cat "$REBASE_SECRET_FILE")" "$REBASE_URL/.settings/rules.json?ns=$ns" >/dev/null
done
export CLOSED_URL=$REBASE_URL/ CLOSED_KEY=$WORK/key.json CLOSED_OTHER_KEY=$WORK/other.json
unset REBASE_SECRET_FILE # the SDKs have the key file alone

run_node() {
  cd "$SDK_DIR/node"
  npm_ci
  NODE_EXTRA_CA_CERTS=$WORK/tls.crt node --test --test-reporter=spec --test-timeout=60000 closed/*.test.mjs
}
run_go() {
  cd "$SDK_DIR/go-admin"
  go vet -tags closed ./closed
  go test -tags closed -count=1 ./closed
}
run_python() {
  cd "$SDK_DIR/python"
  need python3 "install Python 3.10 or newer with venv"
  if [[ ! -f .venv/.installed || requirements.txt -nt .venv/.installed ]]; then
    rm -rf .venv
    python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    touch .venv/.installed
  fi
  REQUESTS_CA_BUNDLE=$WORK/tls.crt .venv/bin/python -m pytest -q -p no:cacheprovider closed
}
run_java() {
  cd "$SDK_DIR/java"
  need mvn "install Maven and a JDK of 17 or newer"
  need keytool "install a JDK of 17 or newer"
  keytool -importcert -noprompt -alias rebase -file "$WORK/tls.crt" -keystore "$WORK/trust.p12" -storetype PKCS12 -storepass rebase 2>/dev/null
  mvn -B -ntp -q -Dtest=ClosedIT -DargLine="-Djavax.net.ssl.trustStore=$WORK/trust.p12 -Djavax.net.ssl.trustStorePassword=rebase" test
}

(($# > 0)) || set -- node go python java
for suite in "$@"; do
  echo "--- $suite"
  (trap - EXIT && "run_$suite")
done
