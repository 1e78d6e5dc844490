#!/usr/bin/env python3
"""Captions of a data set's validation images: a trained model beside captions that never change, and beside itself with other images.
Trains where RUN is not finished, answers where answers are missing, and goes on where it was stopped.

usage: captions.py RECIPE DATA RUN [--seed N] [--metrics ciderd,label_f1_macro,...] [--program build/release/pefomed]

The best constant caption of a metric is the training caption that scores highest where it stands for all training captions: the best that can be
chosen beforehand. Beside it stands the one that scores highest on the very images that are scored, chosen with their captions at hand, which nobody
could. The model is RUN's, its images swapped among the rows of the same kind for `--probe swap`, among all for `--probe swap-any`. Differences are
paired; their intervals are over images. RUN keeps captions-PROBE.jsonl, constant-METRIC.jsonl and hindsight-METRIC.jsonl.
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
    parser.add_argument('--metrics', default='ciderd,label_f1_macro,label_f1_macro_certain,label_f1_micro,label_f1_macro5')
    parser.add_argument('--seed', default='42')
    parser.add_argument('--program', type=pathlib.Path, default=TREE / 'build/release/pefomed')
    a = parser.parse_args()

    def pefomed(*words):
        return subprocess.run([a.program, *words], check=True, stdout=subprocess.PIPE, text=True).stdout

    def score(*words):
        return json.loads(pefomed('score', *words, '--json', '--quiet'))

    pefomed('train', a.recipe, '--data', a.data, '--out', a.run, '--seed', a.seed)
    answers = {probe: a.run / f'captions-{probe}.jsonl' for probe in ('none', 'swap', 'swap-any')}
    for probe, file in answers.items():
        if not file.exists():
            pefomed('eval', a.run, '--data', a.data, '--probe', probe, '--seed', a.seed, '--out', file)
    rows = read(answers['none'])

    with tempfile.TemporaryDirectory() as folder:
        # the training captions as the program itself reads them
        train = pathlib.Path(folder, 'train.jsonl')
        pefomed('eval', a.run, '--data', a.data, '--split', 'train', '--choices', 'none', '--draws', '1', '--max-tokens', '1', '--out', train, '--quiet')
        learned = read(train)
        captions = sorted({row['reference'] for row in learned})

        def constant(i):
            file = pathlib.Path(folder, f'{i}.jsonl')
            figures = []
            for split in (learned, rows):
                write(file, [{**row, 'prediction': captions[i]} for row in split])
                figures.append(score(file, '--metrics', a.metrics, '--threads', '1')['metrics'])
            file.unlink()
            return figures

        with ThreadPoolExecutor(2) as pool:
            scores = list(pool.map(constant, range(len(captions))))

    print(f'{len(rows)} captions, {len(captions)} constants tried')
    print('| metric | model | best constant caption | difference, 95 % | with hindsight | difference, 95 % '
          '| what the image is worth: swap, 95 % | swap-any, 95 % |\n|---|---|---|---|---|---|---|---|')
    best = {}
    for metric in a.metrics.split(','):
        cells = []
        for name, split in (('constant', 0), ('hindsight', 1)):
            at = max(range(len(captions)), key=lambda i: scores[i][split][metric])
            file = a.run / f'{name}-{metric}.jsonl'
            write(file, [{**row, 'prediction': captions[at]} for row in rows])
            best.setdefault(metric, captions[at])
            cells.append((file, True))
        cells += [(answers['swap'], False), (answers['swap-any'], False)]
        texts = []
        for other, shown in cells:
            result = score(answers['none'], '--against', other, '--metrics', metric)
            difference = result['difference']['metrics'][metric]
            low, high = difference['ci95']
            texts += [f'{difference["b"]:.3f}'] * shown + [f'{difference["mean"]:.3f} ({low:.3f} to {high:.3f})']
        print(f'| `{metric}` | {result["metrics"][metric]:.3f} | ' + ' | '.join(texts) + ' |')
    for metric, caption in best.items():
        print(f'best constant of {metric}: {caption}')


if __name__ == '__main__':
    main()
