#!/bin/bash
# Some seeds, the same ones each time; `./dev sim --seeds A..B` runs others. A failure says how to replay it.
set -eu

# Sanitizers take ten times as long.
steps=10000
if [ "${MK_PRESET:-}" = asan ]; then
    steps=3000
fi
failed=0
count=0
for first in 1 11 21 31 41; do
    count=$((count + 1))
    last=$((first + 9))
    name="seeds $first to $last find nothing wrong"
    if "$MOONKEEPER_SIM" --seeds "$first..$last" --steps $steps --recipes "$SOURCE_DIR/recipes"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=1
    fi
done

# ensemble SERVERS SEEDS: so many servers that are one.
ensemble() {
    count=$((count + 1))
    local name="an ensemble of $1 comes through the faults of seeds $2"
    if "$MOONKEEPER_SIM" --servers "$1" --seeds "$2" --steps $steps --recipes "$SOURCE_DIR/recipes"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=1
    fi
}
ensemble 3 1..20
ensemble 4 21..28
ensemble 5 31..38
ensemble 7 41..45
# Where somebody comes back to a leader that is late with its own log; a session's end meets a disk that cannot
# be read; a session's id is asked for twice.
ensemble 3 3190..3190
ensemble 7 3139..3139
ensemble 5 3119..3119
ensemble 3 5091..5091
ensemble 3 5040..5040
new=$((RANDOM + 1000)) # a failure says which
ensemble 3 "$new..$new"
echo "1..$count"
exit $failed
