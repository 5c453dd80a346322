#!/bin/bash
# ZooKeeper's C client, from Debian's libzookeeper-mt-dev, against a server of its own. The cases are in
# c_client.c.
set -u

program=$BUILD_DIR/compat_c_client
if [ ! -x "$program" ]; then
    echo "1..0 # SKIP $program was not built: libzookeeper-mt-dev is not there"
    exit 77
fi

"$MOONKEEPERD" --data data --port 0 --address 127.0.0.1 2>log &
server=$!
trap 'kill $server 2>/dev/null; wait $server' EXIT
for _ in $(seq 300); do
    address=$(sed -n 's/.* serving  address=\([^ ]*\).*/\1/p' log)
    if [ -n "$address" ] || ! kill -0 $server; then
        break
    fi
    sleep 0.1
done

"$program" "${address:?the server did not start: $(cat log)}"
