#!/bin/sh
# Calls an API with the token of a mounted Secret, once a second: consume.sh URL. Needs curl 7.55 or newer.
# With SYNIVERSE_TOKEN, the name of a SyniverseToken, it tells the operator of a token that the API refuses; rejected.yaml has
# the right that this needs.
set -eu
url=$1
file=${TOKEN_FILE:-/var/run/syniverse/accessToken}
account=/var/run/secrets/kubernetes.io/serviceaccount
api=${KUBERNETES_API:-https://kubernetes.default.svc}

# Makes one request with a token and prints the status. The header goes through stdin: every process can read arguments.
request() {
  printf 'Authorization: Bearer %s' "$1" |
    curl --silent --output /dev/null --write-out '%{http_code}' --max-time 10 --header @- "$url" || :
}

# Tells the operator that the API refuses a token.
reject() {
  fingerprint=$(printf %s "$1" | sha256sum | cut -c 1-8)
  namespace=$(cat "$account/namespace")
  printf 'Authorization: Bearer %s' "$(cat "$account/token")" |
    curl --silent --show-error --fail --output /dev/null --max-time 10 --header @- --cacert "$account/ca.crt" \
      --request PATCH --header 'Content-Type: application/merge-patch+json' \
      --data '{"metadata": {"annotations": {"syniverse.dev/rejected": "'"$fingerprint"'"}}}' \
      "$api/apis/syniverse.dev/v1alpha1/namespaces/$namespace/syniversetokens/$SYNIVERSE_TOKEN"
}

told=
while :; do
  token=$(cat "$file")
  status=$(request "$token")
  if [ "$status" = 401 ]; then
    sleep 1 # a new token may be on its way into the file
    refused=$token token=$(cat "$file")
    status=$(request "$token")
    # The same token twice, and the operator does not know yet.
    if [ "$status" = 401 ] && [ "$token" = "$refused" ] && [ "$token" != "$told" ] && [ -n "${SYNIVERSE_TOKEN:-}" ]; then
      reject "$token" && told=$token
    fi
  fi
  echo "$status"
  sleep 1
done
