#!/bin/bash
# The same seed is the same run, to the byte, in any process.
set -eu

failed=0
count=0
for seed in 3 17 40 5/3 9/5; do
    count=$((count + 1))
    name="two processes write the same log of seed ${seed/\// with servers: }"
    servers=1
    case $seed in */*) servers=${seed#*/} ;; esac
    for run in a b; do
        "$MOONKEEPER_SIM" --seed "${seed%/*}" --servers "$servers" --steps 4000 --recipes "$SOURCE_DIR/recipes" \
            --log "$run.log" >"$run.out"
    done
    if [ -s a.log ] && cmp a.log b.log && cmp a.out b.out; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        failed=1
    fi
done
echo "1..$count"
exit $failed
