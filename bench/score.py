#!/usr/bin/env python3
"""Scores pairs of reports with every lexical metric, once with the program and once with the Python packages, and prints how long
each took. One run of each: the packages take hours for 100,000 pairs, so --python N times them on the first N pairs and says what all
would take (their time grows with the number of pairs).

usage: score.py DATA [--pairs 100000] [--python N] [--program build/release/pefomed] [--threads N]

DATA is a folder of JSON lines with `target` and `inputs` (clinical summaries) or `reference` and `prediction`; pairs are drawn from its texts, a
prediction being a text with words dropped, doubled and exchanged. The Python that runs this needs what
script/vectors/text_metrics.py names. What reading WordNet takes nltk once is not counted.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).parent.parent
sys.path.insert(0, str(TREE / 'script/vectors'))
import text_metrics  # noqa: E402


def read_texts(folder):
    texts = []
    for path in sorted(folder.rglob('*.jsonl')):
        for line in open(path, encoding='utf-8'):
            row = json.loads(line)
            texts += [row[key] for key in ('inputs', 'target', 'reference', 'prediction') if isinstance(row.get(key), str)]
    return texts


def make_pairs(texts, count, seed=1):
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        reference = rng.choice(texts)
        other = rng.choice(texts).split()
        words = [rng.choice(other) if other and rng.random() < .2 else w for w in reference.split() if rng.random() < .85]
        rows.append(dict(id=i, reference=reference, prediction=' '.join(words)))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=pathlib.Path)
    parser.add_argument('--pairs', type=int, default=100000)
    parser.add_argument('--python', type=int, default=0, help='time the packages on so many pairs only')
    parser.add_argument('--program', default=str(TREE / 'build/release/pefomed'))
    parser.add_argument('--threads', default='')
    arguments = parser.parse_args()
    texts = read_texts(arguments.data)
    rows = make_pairs(texts, arguments.pairs)
    words = sum(len(r['reference'].split()) + len(r['prediction'].split()) for r in rows) / len(rows)
    print(f'{len(rows)} pairs, {words:.0f} words each on the mean')
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl') as file:
        file.writelines(json.dumps(r) + '\n' for r in rows)
        file.flush()
        command = [arguments.program, 'score', file.name, '--metrics', ','.join(text_metrics.NAMES), '--json']
        if arguments.threads:
            command += ['--threads', arguments.threads]
        begun = time.perf_counter()
        got = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)['metrics']
        ours = time.perf_counter() - begun
    print(f'program:  {ours:9.2f} s, with reading the file and {len(got)} intervals of 1,000 samples', flush=True)
    wordnet = text_metrics.open_wordnet()
    sample = rows[:arguments.python] if arguments.python else rows
    # CIDEr's plain form and deltaBLEU are no packages but our own Python, and are not counted.
    names = [n for n in text_metrics.NAMES if n not in ('cider_plain', 'deltableu', 'deltableu_zh')]
    begun = time.perf_counter()
    want = text_metrics.score(sample, names, wordnet)
    theirs = (time.perf_counter() - begun) * len(rows) / len(sample)
    print(f'packages: {theirs:9.2f} s' + (f', as {len(sample)} pairs take' if len(sample) < len(rows) else ''))
    print(f'{theirs / ours:.1f} times')
    if len(sample) == len(rows):
        worst = max(abs(want[n] - got[n]) for n in names)
        print(f'largest difference {worst:.1e}')


main()
