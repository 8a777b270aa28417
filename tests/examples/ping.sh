#!/bin/bash
# The ping pair of examples/ talks over a socket in a directory of its own.
set -eu
dir=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; rm -rf "$dir"' EXIT
"$SMUX_EXAMPLES_DIR/ping_server" "unix:$dir/socket" >"$dir/server" &
server=$!
for _ in $(seq 100); do
    [ -S "$dir/socket" ] && break
    sleep 0.05
done
"$SMUX_EXAMPLES_DIR/ping_client" "unix:$dir/socket" >"$dir/client"
wait $server
grep -qx 'received "ping"' "$dir/client"
grep -qx 'received "ping"' "$dir/server"
# A wrong address gives a message and a status.
if "$SMUX_EXAMPLES_DIR/ping_client" "unix:$dir/none" 2>"$dir/error"; then
    echo "a client without a server succeeded" >&2
    exit 1
fi
grep -q 'cannot connect: No such file' "$dir/error"
