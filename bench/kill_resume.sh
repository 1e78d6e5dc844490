#!/usr/bin/env bash
# Kills a training run with SIGKILL at random moments, lets the same command go on each time, and wants the final weights to be
# those of an uninterrupted run, bit for bit. The moments come from a seed: the same seed, the same moments.
# usage: bench/kill_resume.sh [KILLS [SEED [RECIPE]]]        default 20, 1 and recipes/phantom.yaml, a recipe of the phantom with or
# without stages (recipes/phantom-stages.yaml); needs the weights (pefomed fetch) and script/build
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1-20}
RANDOM=${2-1}
recipe=${3-recipes/phantom.yaml}
pefomed=$PWD/build/release/pefomed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$pefomed" phantom "$work/data" --images 40 --quiet > /dev/null
command=("$pefomed" train "$recipe" --data "$work/data" --quiet --set train.batch=8 --set train.checkpoint_every=2 --out)
hashes() { # run folder: of all that was learned, the last and the best, of every stage
    (cd "$1" && find . -path ./checkpoint -prune -o -name '*.safetensors' -print | sort | xargs sha256sum)
}
steps() { # run folder: how many lines its log has
    wc -l 2> /dev/null < "$1/log.jsonl" || echo 0
}
story() { # run folder: what its log says of each step, but for times and memory
    python3 -c 'import json, sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    print(*(row.get(k) for k in ("step", "stage", "epoch", "loss", "lr", "grad_norm", "tokens", "samples", "logits_change")))' "$1/log.jsonl"
}
milliseconds() {
    date +%s%3N
}

"${command[@]}" "$work/features" > "$work/said" # so that both runs find the images' features cached
begun=$(milliseconds)
"${command[@]}" "$work/whole" > "$work/said"
whole=$(($(milliseconds) - begun))
echo "uninterrupted: $whole ms, $(steps "$work/whole") steps"
hashes "$work/whole"
wanted=$(hashes "$work/whole")

# Each attempt lives for a random part of the uninterrupted time; short ones die before the first checkpoint, long ones late.
printf '%5s %5s %12s %10s\n' kill run 'killed at ms' steps
killed=0
run=1
compare() {
    if [ "$(hashes "$work/run$run")" != "$wanted" ]; then
        hashes "$work/run$run"
        echo "kill_resume: run $run ended with other weights than the uninterrupted run" >&2
        exit 1
    fi
    if ! diff <(story "$work/whole") <(story "$work/run$run"); then
        echo "kill_resume: the log of run $run tells another story than the uninterrupted one" >&2
        exit 1
    fi
}
while [ "$killed" -lt "$kills" ]; do
    moment=$((whole * (RANDOM * 32768 + RANDOM) / (32768 * 32768)))
    "${command[@]}" "$work/run$run" > "$work/said" 2> "$work/errors" &
    process=$!
    sleep "$((moment / 1000)).$(printf '%03d' $((moment % 1000)))"
    kill -KILL $process 2> /dev/null || true
    status=0
    wait $process 2> /dev/null || status=$?
    if [ $status -eq 137 ]; then
        killed=$((killed + 1))
        printf '%5d %5d %12d %10s\n' "$killed" "$run" "$moment" "$(steps "$work/run$run")"
    elif [ $status -eq 0 ]; then
        compare
        run=$((run + 1))
    else
        cat "$work/errors" >&2
        echo "kill_resume: the resumed run failed by itself" >&2
        exit 1
    fi
done
"${command[@]}" "$work/run$run" > "$work/said"
compare
echo "kill_resume: $killed kills over $run runs, each ended with the same bits"
