#!/usr/bin/env python3
"""Captions of a data set's validation images: a trained model beside the best caption that never changes, and beside itself with other
images. Trains where RUN is not finished, answers where answers are missing, and goes on where it was stopped.

usage: captions.py RECIPE DATA RUN [--metrics ciderd,label_f1_micro,label_f1_macro] [--program build/release/pefomed]

The best constant caption of a metric is the one training caption that scores highest on the very images that are scored, so that it is better
than any constant that a person could choose beforehand. The model is RUN's, with the images swapped among the rows of the same kind for
`--probe swap`. Differences are paired; their intervals are over images. RUN keeps captions-none.jsonl, captions-swap.jsonl and
constant-METRIC.jsonl.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

TREE = pathlib.Path(__file__).parent.parent


def read(path):
    return [json.loads(line) for line in open(path, encoding='utf-8')]


def write(path, rows):
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows), encoding='utf-8')


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('recipe', type=pathlib.Path)
    parser.add_argument('data', type=pathlib.Path)
    parser.add_argument('run', type=pathlib.Path)
    parser.add_argument('--metrics', default='ciderd,label_f1_micro,label_f1_macro')
    parser.add_argument('--program', type=pathlib.Path, default=TREE / 'build/release/pefomed')
    a = parser.parse_args()

    def pefomed(*words):
        return subprocess.run([a.program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def score(*words):
        return json.loads(pefomed('score', *words, '--json', '--quiet'))

    pefomed('train', a.recipe, '--data', a.data, '--out', a.run)
    answers = {probe: a.run / f'captions-{probe}.jsonl' for probe in ('none', 'swap')}
    for probe, file in answers.items():
        if not file.exists():
            pefomed('eval', a.run, '--data', a.data, '--probe', probe, '--out', file)
    rows = read(answers['none'])

    with tempfile.TemporaryDirectory() as folder:
        # the training captions as the program itself reads them
        train = pathlib.Path(folder, 'train.jsonl')
        pefomed('eval', a.run, '--data', a.data, '--split', 'train', '--max-tokens', '1', '--out', train, '--quiet')
        captions = sorted({row['reference'] for row in read(train)})

        def constant(i):
            file = pathlib.Path(folder, f'{i}.jsonl')
            write(file, [{**row, 'prediction': captions[i]} for row in rows])
            figures = score(file, '--metrics', a.metrics, '--threads', '1')['metrics']
            file.unlink()
            return figures

        with ThreadPoolExecutor(2) as pool:
            scores = list(pool.map(constant, range(len(captions))))

    print(f'{len(rows)} captions, {len(captions)} constants tried')
    print('| metric | model | best constant caption | difference, 95 % | images swapped | what the image is worth, 95 % |\n|---|---|---|---|---|---|')
    best = {}
    for metric in a.metrics.split(','):
        at = max(range(len(captions)), key=lambda i: scores[i][metric])
        best[metric] = captions[at]
        file = a.run / f'constant-{metric}.jsonl'
        write(file, [{**row, 'prediction': captions[at]} for row in rows])
        cells = []
        for other in (file, answers['swap']):
            result = score(answers['none'], '--against', other, '--metrics', metric)
            difference = result['difference']['metrics'][metric]
            low, high = difference['ci95']
            cells += [f'{difference["b"]:.3f}', f'{difference["mean"]:.3f} ({low:.3f} to {high:.3f})']
        print(f'| {metric} | {result["metrics"][metric]:.3f} | ' + ' | '.join(cells) + ' |')
    for metric, caption in best.items():
        print(f'best constant of {metric}: {caption}')


if __name__ == '__main__':
    main()
