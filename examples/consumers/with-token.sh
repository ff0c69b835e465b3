#!/bin/sh
# Runs a program that reads its token only from the environment, and starts it again when the mounted file has another token:
#   with-token.sh VARIABLE FILE PROGRAM [ARGUMENT...]
# The program is asked to end (SIGTERM) and killed after GRACE seconds. If it ends by itself, so does this, with its status.
set -eu
variable=$1 file=$2
shift 2
grace=${GRACE:-20}
child='' status=0

read_token() { IFS= read -r token <"$file" || [ -n "$token" ]; }
runs() { kill -0 "$child" 2>/dev/null; }
# A second that a signal can cut short, unlike a mere sleep.
pause() { sleep 1 & wait $! || :; }

stop() {
  kill "$child" 2>/dev/null || :
  left=$grace
  while runs && [ "$left" -gt 0 ]; do
    pause
    left=$((left - 1))
  done
  kill -9 "$child" 2>/dev/null || :
  wait "$child" || status=$?
}

trap 'stop; exit "$status"' TERM INT
while :; do
  read_token || { echo "with-token.sh: no token in $file" >&2; exit 1; }
  export "$variable=$token"
  "$@" &
  child=$! used=$token
  while runs; do
    pause
    if read_token && [ "$token" != "$used" ]; then
      stop
      continue 2
    fi
  done
  wait "$child" || status=$?
  exit "$status"
done
