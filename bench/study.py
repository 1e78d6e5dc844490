#!/usr/bin/env python3
"""A study with known noise, from blinded sheets to agreement: 100 generated reports of two systems, three simulated raters, two judges.

Everything goes through the program: sheets are written, filled in, opened with the key; verdicts are read beside them. The true
agreement is that of the same noise on 200,000 texts; `agree` recovers it where its interval holds it. Prints a line a figure, and fails
where fewer than 90 % of all figures over the seeds are held.

usage: bench/study.py PROGRAM [SEEDS]
"""
import csv
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

LEVELS = 5
SYSTEMS = {'ours': 2.6, 'theirs': 1.6}  # mean quality of a text
RATERS = {'rater-1': (0, .5), 'rater-2': (-.3, .7), 'rater-3': (.2, 1.)}  # bias, deviation
JUDGES = {'good': (.4, .6), 'poor': (.2, 1.6)}
WORDS = 'the lungs are clear heart size normal no effusion pneumothorax opacity left right lower lobe mild stable'.split()


def score(quality, who, rng):
    bias, noise = who
    return max(0, min(LEVELS - 1, round(quality + bias + rng.gauss(0, noise))))


def pearson(x, y):
    n, mx, my = len(x), sum(x) / len(x), sum(y) / len(y)
    return (sum((a - mx) * (b - my) for a, b in zip(x, y)) / n) / math.sqrt(sum((a - mx) ** 2 for a in x) / n * sum((b - my) ** 2 for b in y) / n)


def quadratic(x, y):
    n, mx, my = len(x), sum(x) / len(x), sum(y) / len(y)
    return 1 - sum((a - b) ** 2 for a, b in zip(x, y)) / n / (sum((a - mx) ** 2 for a in x) / n + sum((b - my) ** 2 for b in y) / n + (mx - my) ** 2)


def truth():
    """{figure: value} of very many texts."""
    rng = random.Random(0)
    qualities = [rng.gauss(rng.choice(list(SYSTEMS.values())), 1) for _ in range(200_000)]
    of = {name: [score(q, who, rng) for q in qualities] for name, who in (RATERS | JUDGES).items()}
    raters = [of[r] for r in RATERS]
    mean = [sum(s) / len(s) for s in zip(*raters)]
    everything = [s for r in raters for s in r]
    centre = sum(everything) / len(everything)
    within = sum(sum((s - m) ** 2 for s in item) / (len(item) - 1) for item, m in zip(zip(*raters), mean)) / len(mean)
    out = {'alpha interval': 1 - within / (sum((s - centre) ** 2 for s in everything) / len(everything))}
    for a, b in (('rater-1', 'rater-2'), ('rater-1', 'rater-3'), ('rater-2', 'rater-3')):
        out[f'kappa {a} {b}'] = quadratic(of[a], of[b])
    for judge in JUDGES:
        out[f'pearson {judge}'] = pearson(of[judge], mean)
        out[f'wasm {judge}'] = sum(of[judge]) / len(of[judge])
    return out


def run(program, folder, *words):
    return json.loads(subprocess.run([program, *words, '--json', '--quiet'], cwd=folder, check=True, capture_output=True, text=True).stdout)


def study(program, folder, seed):
    """{figure: [low, high]} of one study."""
    rng = random.Random(seed)
    quality = {}
    for system, mean in SYSTEMS.items():
        with open(folder / f'{system}.jsonl', 'w') as file:
            for i in range(50):
                text = ' '.join(rng.choices(WORDS, k=12)) + f' {len(quality)}.'
                quality[text] = (system, i, rng.gauss(mean, 1))
                file.write(json.dumps(dict(id=i, reference=' '.join(rng.choices(WORDS, k=12)), prediction=rng.choice(['', '- ']) + text)) + '\n')
    run(program, folder, 'sheets', *[f'{s}.jsonl' for s in SYSTEMS], '--raters', str(len(RATERS)), '--duplicates', '10', '--out', 'sheets', '--seed', str(seed))
    for rater, who in RATERS.items():
        with open(folder / f'sheets/{rater}.csv', encoding='utf-8-sig', newline='') as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row['score'] = score(quality[row['text'].lstrip("'- ")][2], who, rng)
        with open(folder / f'{rater}.csv', 'w', encoding='utf-8-sig', newline='') as file:
            writer = csv.DictWriter(file, rows[0].keys(), delimiter=';')
            writer.writeheader()
            writer.writerows(rows)
    for judge, who in JUDGES.items():
        with open(folder / f'{judge}.verdicts.jsonl', 'w') as file:
            for system, i, q in quality.values():
                file.write(json.dumps(dict(id=f'{system}/{i}', repeat=0, score=score(q, who, rng), status='ok', reply='', attempts=1)) + '\n')
    found = run(program, folder, 'agree', *[f'{r}.csv' for r in RATERS], *[f'{j}.verdicts.jsonl' for j in JUDGES], '--key', 'sheets.key.json')
    out = {'alpha interval': found['ci95']['krippendorff']['interval']}
    for pair in found['pairs']:
        out[f'kappa {pair["a"]} {pair["b"]}'] = pair['ci95']['kappa_quadratic']
    for row in found['against_mean']:
        out[f'pearson {row["rater"]}'] = row['ci95']['pearson']
    for judge in JUDGES:
        out[f'wasm {judge}'] = found['ci95']['wasm'][judge]
    assert found['n_items'] == 100 and len(found['consistency']) == len(RATERS), found
    return out


def main():
    program, seeds = str(pathlib.Path(sys.argv[1]).resolve()), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    known = truth()
    held = dict.fromkeys(known, 0)
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            intervals = study(program, pathlib.Path(folder), seed)
        for figure, value in known.items():
            held[figure] += intervals[figure][0] <= value <= intervals[figure][1]
    for figure, value in known.items():
        print(f'{figure:26} true {value:6.3f}, in its 95 % interval in {held[figure]} of {seeds} studies')
    share = sum(held.values()) / (seeds * len(held))
    print(f'all: {100 * share:.1f} %')
    if share < .9:
        sys.exit('study: the intervals do not hold what is known')


main()
