#!/bin/bash
# Every bug that the simulator can put in on purpose is found within a few seeds, and named.
set -u

failed=0
count=0

# found_by SABOTAGE PATTERN [SERVERS]: the checker that is meant to find it finds it. In another seed another
# one may be quicker: what it says has to be a failure too, and the next seed is tried.
found_by() {
    count=$((count + 1))
    local name="the checker finds $1${3:+ among $3 servers}" seed
    for seed in $(seq 40); do
        if "$MOONKEEPER_SIM" --seed "$seed" --steps 10000 --sabotage "$1" --servers "${3:-1}" \
            --recipes "$SOURCE_DIR/recipes" >"$1.out" 2>&1; then
            continue
        fi
        if ! grep -q "to replay it" "$1.out"; then
            break
        fi
        if grep -qE "$2" "$1.out"; then
            echo "ok $count - $name"
            return
        fi
    done
    echo "not ok $count - $name"
    sed 's/^/    /' "$1.out"
    failed=1
}

found_by forget-synced 'the store (is at|counts|has)'
found_by swap-replies 'was sent xid|before it was committed'
found_by lose-event 'was not told event|overtakes event|next were event|did not tell event'
found_by repeat-event 'was told event .* expected none|it is not so|next were event|did not tell event'
found_by stale-stat 'was answered wrongly'
found_by early-reply 'the store (is at|counts|has)'
found_by hasty-clock 'expired before its time'
found_by lose-checkpoint 'the store (is at|counts|has)|creates a znode that is there'
found_by forge-result 'was answered (wrongly|with another result)'
found_by lock-for-all 'somebody (else holds it|else asked first)'
found_by lock-constant-fence 'the fence is not the zxid'
found_by mixed-versions 'expected \{"gate":[1-4]\}'
found_by real-dry-run 'a dry run has changed something'
found_by stale-call-read 'a call that only reads.*not so at that zxid'
found_by call-mourns 'has not outlived session|it outlives its session'
found_by lose-load 'waits, and the server for nothing'
found_by lose-truncation 'a later epoch has begun|was committed|others have|has served at' 3
found_by forget-epochs 'have both led|was committed|a later epoch has begun|others have' 3
found_by alter-proposal 'others have it otherwise|is not what it must be|cannot be decoded' 3
# Among several servers the same checker watches each of them; what is lost with one disk is found as what
# others have.
among=$count
found_by early-reply 'otherwise|another|was committed|has served at' 3
found_by lose-event 'was not told event|overtakes event|next were event|did not tell event' 5
found_by stale-stat 'was answered wrongly' 5
among=$((count - among))

count=$((count + 1))
listed=$("$MOONKEEPER_SIM" --sabotage list | grep -cv '^none$')
if [ "$listed" -eq $((count - 1 - among)) ]; then
    echo "ok $count - no sabotage is left untried"
else
    echo "not ok $count - no sabotage is left untried"
    failed=1
fi
echo "1..$count"
exit $failed
