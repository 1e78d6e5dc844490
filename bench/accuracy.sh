#!/usr/bin/env bash
# Accuracy of a recipe on the validation split over three seeds, beside the predictions of another system or recipe on the same
# questions, and the probes: does the model look at the image? Differences are paired, their intervals over images (bootstrap).
# Goes on where it was stopped.
# usage: bench/accuracy.sh [--against FILE]... [--rows FILE] [--no-probes] [--set KEY=VALUE]... RECIPE DATA WORK [SEED...]      default 42 43 44
#   --against FILE  predictions of the other one, a file a seed, or one file for all
#   --rows FILE     the data set's rows, where those predictions lack the kind of a question (the peer's do)
#   --set           of the recipe, such as stages.0.data.path=FOLDER
#   WORK            keeps SEED/ (the runs) and SEED-PROBE.jsonl (their answers, "none" for the true images)
set -euo pipefail
shopt -s inherit_errexit # what fails within $(...) fails here
cd "$(dirname "$0")/.."

pefomed=build/release/pefomed
others=() sets=() rows=() probes=(swap swap-any blank noise)
while [[ ${1-} == --* ]]; do
    case $1 in
        --against) others+=("$2") && shift 2 ;;
        --set) sets+=(--set "$2") && shift 2 ;;
        --rows) rows=(--rows "$2") && shift 2 ;;
        --no-probes) probes=() && shift ;;
        *) echo "accuracy.sh: unknown option $1" >&2 && exit 2 ;;
    esac
done
[ $# -ge 3 ] || { sed -n '/^# usage/,/^#   WORK/p' "$0" >&2; exit 2; }
recipe=$1 data=$2 work=$3
seeds=("${@:4}")
[ ${#seeds[@]} -gt 0 ] || seeds=(42 43 44)
mkdir -p "$work"

answers() { # seed, probe: the predictions file, made where it is missing
    local file=$work/$1-$2.jsonl
    [ -f "$file" ] || "$pefomed" eval "$work/$1" --data "$data" --split validate --probe "$2" --out "$file" > "$file.score"
    echo "$file"
}
compare() { # title, file..., [--against file]...
    printf '\n== %s\n' "$1"
    python3 - "$("$pefomed" score "${@:2}" --profile vqa "${rows[@]}" --json)" <<'EOF'
import json, sys
scores = json.loads(sys.argv[1])
print(f'{"":<12}{"score":>8}{"sd":>7}{"difference":>12}   95 % interval')
for kind in ('overall', 'closed', 'open'):
    line = f'{kind:<12}{scores[kind]:8.2f}' + (f'{scores["sd"][kind]:7.2f}' if 'sd' in scores else '      -')
    if 'difference' in scores:
        low, high = scores['difference'][kind]['ci95']
        line += f'{scores["difference"][kind]["mean"]:12.2f}   {low:.2f} to {high:.2f}'
    print(line)
EOF
}
against() { # file...: the words that name them to score
    printf -- '--against\n%s\n' "$@"
}

declare -A made
for seed in "${seeds[@]}"; do
    "$pefomed" train "$recipe" --data "$data" "${sets[@]}" --out "$work/$seed" --seed "$seed"
    for probe in none "${probes[@]}"; do
        made[$probe]+="$(answers "$seed" "$probe")"$'\n'
    done
done
mapfile -t true_images <<< "${made[none]%$'\n'}"
words=()
[ ${#others[@]} -eq 0 ] || mapfile -t words < <(against "${others[@]}")
compare "$recipe" "${true_images[@]}" "${words[@]}"
for probe in "${probes[@]}"; do
    mapfile -t files <<< "${made[$probe]%$'\n'}"
    mapfile -t words < <(against "${files[@]}")
    compare "true images beside: $probe" "${true_images[@]}" "${words[@]}"
done
