#!/usr/bin/env bash
# Kills a training run with SIGKILL at random moments, lets the same command go on each time, and wants the final weights to be
# those of an uninterrupted run, bit for bit. The moments come from a seed: the same seed, the same moments.
# usage: bench/kill_resume.sh [KILLS [SEED]]        default 20 and 1; needs the weights (pefomed fetch) and script/build
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1-20}
RANDOM=${2-1}
pefomed=$PWD/build/release/pefomed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$pefomed" phantom "$work/data" --images 48 --quiet
train() { # run folder
    "$pefomed" train recipes/phantom.yaml --data "$work/data" --out "$1" --quiet --set train.epochs=2 \
        --set train.checkpoint_every=2
}
hashes() { # run folder
    (cd "$1" && sha256sum adapter/adapter_model.safetensors aligner.safetensors)
}
steps() { # run folder: the steps in its log, on one line
    sed -E 's/.*"step": ?([0-9]+).*/\1/' "$1/log.jsonl" 2> /dev/null | paste -sd ' '
}
milliseconds() {
    date +%s%3N
}

train "$work/features" # so that both runs find the images' features cached
begun=$(milliseconds)
train "$work/whole"
whole=$(($(milliseconds) - begun))
echo "uninterrupted: $whole ms, $(steps "$work/whole" | wc -w) steps"
hashes "$work/whole"
wanted=$(hashes "$work/whole")

# Each attempt lives for a random part of the uninterrupted time; short ones die before the first checkpoint, long ones late.
printf '%5s %5s %12s %10s\n' kill run 'killed at ms' 'last step'
killed=0
run=1
compare() {
    if [ "$(hashes "$work/run$run")" != "$wanted" ]; then
        hashes "$work/run$run"
        echo "kill_resume: run $run ended with other weights than the uninterrupted run" >&2
        exit 1
    fi
    if [ "$(steps "$work/run$run")" != "$(steps "$work/whole")" ]; then
        steps "$work/run$run"
        echo "kill_resume: run $run has gaps or repetitions in its log" >&2
        exit 1
    fi
}
while [ "$killed" -lt "$kills" ]; do
    moment=$((whole * (RANDOM * 32768 + RANDOM) / (32768 * 32768)))
    train "$work/run$run" 2> "$work/errors" &
    process=$!
    sleep "$((moment / 1000)).$(printf '%03d' $((moment % 1000)))"
    if kill -KILL $process 2> /dev/null; then
        wait $process 2> /dev/null || true
        killed=$((killed + 1))
        printf '%5d %5d %12d %10s\n' "$killed" "$run" "$moment" "$(steps "$work/run$run" | awk '{print $NF}')"
    elif wait $process; then
        compare
        run=$((run + 1))
    else
        cat "$work/errors" >&2
        echo "kill_resume: the resumed run failed by itself" >&2
        exit 1
    fi
done
train "$work/run$run"
compare
echo "kill_resume: $killed kills over $run runs, each ended with the same bits"
