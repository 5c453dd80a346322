#!/bin/bash
# Every story in this folder comes out as it is written. A changed outcome is a decision: look at the
# difference, and if it is meant, write it down with
#     moonkeeper-sim --scenario STORY.txt >STORY.new && mv STORY.new STORY.txt
set -u

failed=0
count=0
for story in "$SOURCE_DIR"/tests/sim/*.txt; do
    count=$((count + 1))
    name=$(basename "$story" .txt | tr _ ' ')
    if "$MOONKEEPER_SIM" --recipes "$SOURCE_DIR/recipes" --scenario "$story" >out 2>err &&
        diff -u "$story" out >difference; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        sed 's/^/    /' difference err
        failed=1
    fi
done
echo "1..$count"
exit $failed
