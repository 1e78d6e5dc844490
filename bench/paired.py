#!/usr/bin/env python3
"""The paired difference of two sets of answers to the same questions, with its interval over images.

usage: paired.py A.jsonl... --against B.jsonl... [--samples 1000] [--seed 1] [--above X]

Each side is one or more predictions files (pefomed eval --out, or one JSON list of such rows); several files of a side are runs with
other seeds, and a question's score is their mean. Rows are matched by id. The interval is the 2.5 to 97.5 percentiles of bootstrap
samples of images. With --above X the exit status is 1 unless the overall, closed and open intervals all lie above X points.
"""
import argparse
import collections
import json
import random
import sys


def load(path):
    text = open(path).read()
    return json.loads(text) if text.lstrip().startswith('[') else [json.loads(line) for line in text.splitlines() if line.strip()]


def side(paths):
    """{id: (image, kind or None, mean of correct)}"""
    scores, rows = collections.defaultdict(list), {}
    for path in paths:
        for row in load(path):
            scores[str(row['id'])].append(bool(row['correct']))
            rows[str(row['id'])] = row
    for key, values in scores.items():
        if len(values) != len(paths):
            sys.exit(f'paired.py: question {key} is in {len(values)} of {len(paths)} files')
    return {k: (r['image'], (r.get('answer_type') or '').strip().upper() or None, sum(scores[k]) / len(scores[k])) for k, r in rows.items()}


def interval(by_image, samples, rng):
    """Bootstrap over images of the mean of per-question differences, in points."""
    images = list(by_image.values())
    sums = [(sum(d), len(d)) for d in images]
    means = []
    for _ in range(samples):
        chosen = [sums[rng.randrange(len(sums))] for _ in sums]
        means.append(100 * sum(s for s, _ in chosen) / sum(n for _, n in chosen))
    means.sort()
    return means[int(0.025 * samples)], means[min(samples - 1, int(0.975 * samples))]


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('a', nargs='+'), a.add_argument('--against', nargs='+', required=True)
    a.add_argument('--samples', type=int, default=1000), a.add_argument('--seed', type=int, default=1), a.add_argument('--above', type=float)
    o = a.parse_args()
    one, other = side(o.a), side(o.against)
    if set(one) != set(other):
        sys.exit(f'paired.py: the sides answer other questions: {len(set(one) ^ set(other))} ids are on one side only')
    rng = random.Random(o.seed)
    below = False
    print(f'{"":<8}{"n":>6}{"A":>8}{"B":>8}{"A - B":>8}{"95% interval":>18}')
    for name in ('overall', 'CLOSED', 'OPEN'):
        keys = [k for k in one if name in ('overall', one[k][1] or other[k][1])]
        if not keys:
            continue
        by_image = collections.defaultdict(list)
        for k in keys:
            by_image[one[k][0]].append(one[k][2] - other[k][2])
        mean = lambda s: 100 * sum(s[k][2] for k in keys) / len(keys)
        low, high = interval(by_image, o.samples, rng)
        print(f'{name.lower():<8}{len(keys):6d}{mean(one):8.1f}{mean(other):8.1f}{mean(one) - mean(other):8.1f}{f"[{low:.1f}, {high:.1f}]":>18}')
        below = below or (o.above is not None and low <= o.above)
    sys.exit(1 if below else 0)


main()
