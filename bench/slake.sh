#!/usr/bin/env bash
# Accuracy on SLAKE's validation split over three seeds, beside the stored predictions of a peer on the same questions, and the
# probes: does the model look at the image? Differences are paired, their intervals over images (bootstrap). Goes on where it was
# stopped. Three trainings take about three quarters of an hour on two cores.
# usage: bench/slake.sh DATA PEER_PREDICTIONS [WORK [SEED...]]      default runs/bench-slake and 42 43 44
set -euo pipefail
cd "$(dirname "$0")/.."

data=$1
peer=$2
work=${3-runs/bench-slake}
seeds=("${@:4}")
[ ${#seeds[@]} -gt 0 ] || seeds=(42 43 44)
pefomed=build/release/pefomed
mkdir -p "$work"

answers() { # seed, probe: the predictions file, made where it is missing
    local file=$work/$1-$2.jsonl
    [ -f "$file" ] || "$pefomed" eval "$work/$1" --data "$data" --split validate --probe "$2" --out "$file" > "$file.score"
    echo "$file"
}
compare() { # title, file..., --against file...
    printf '\n== %s\n' "$1"
    "$pefomed" score "${@:2}" --profile vqa --rows "$data/validate.json" --json | python3 -c '
import json, sys
s = json.load(sys.stdin)
print(f"{\"\":<12}{\"score\":>8}{\"sd\":>7}{\"difference\":>12}   95 % interval")
for k in ("overall", "closed", "open"):
    d = s["difference"][k]
    sd = s.get("sd", {}).get(k)
    print(f"{k:<12}{s[k]:8.2f}" + (f"{sd:7.2f}" if sd is not None else "      -") + f"{d[\"mean\"]:12.2f}   {d[\"ci95\"][0]:.2f} to {d[\"ci95\"][1]:.2f}")
'
}

true_images=() any=() same=() blank=() noise=()
for seed in "${seeds[@]}"; do
    "$pefomed" train recipes/slake.yaml --data "$data" --out "$work/$seed" --seed "$seed"
    true_images+=("$(answers "$seed" none)")
    same+=("$(answers "$seed" swap)")
    any+=("$(answers "$seed" swap-any)")
    blank+=("$(answers "$seed" blank)")
    noise+=("$(answers "$seed" noise)")
done
against() { printf -- '--against\n%s\n' "$@"; }
mapfile -t words < <(against "$peer")
compare "beside the peer" "${true_images[@]}" "${words[@]}"
for probe in same any blank noise; do
    declare -n files=$probe
    mapfile -t words < <(against "${files[@]}")
    compare "true images beside: $probe" "${true_images[@]}" "${words[@]}"
done
