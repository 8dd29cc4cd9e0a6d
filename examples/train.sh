#!/bin/sh
# A "training" without Python: it prints its metrics, and continues from the state in its checkpoint folder.
lr=$2
width=${3#--width=}
state="${TUNEDSL_CHECKPOINT:-.}/state"
epoch=0
[ -f "$state" ] && epoch=$(cat "$state")
while [ "$epoch" -lt 9 ]; do
    epoch=$((epoch + 1))
    sleep 0.05
    echo "$epoch" > "$state.new" && mv "$state.new" "$state"
    awk -v e="$epoch" -v lr="$lr" -v w="$width" \
        'BEGIN { printf "epoch=%d loss=%.4f\n", e, 1 / (1 + 10 * lr * e) + 2 / w + lr * lr }'
done
