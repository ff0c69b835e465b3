# Runs a program for as long as someone holds the other end of stdin: supervise LOG PROGRAM [ARGUMENT]...
# Prints the program's process id. Each line on stdin is the name of a signal to send it; the end of stdin kills it.
log=$1
shift
exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
child=$!
echo "$child"
exec >/dev/null 2>&1

# A job in the background ignores the terminal's Ctrl-C, so this outlives an interrupted test by the moment it needs.
(
  while read -r signal; do kill -s "$signal" "$child"; done
  kill -s KILL "$child"
) <&3 &
watcher=$!
exec 3<&-

wait "$child"
status=$?
kill -s KILL "$watcher"
exit "$status"
