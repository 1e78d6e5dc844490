#!/usr/bin/env python3
"""How far the labels of pefomed-rules agree with labels read by a person, and with themselves.

1. bench/labels_read.json holds labels of 110 validation reports of IU X-Ray, read by the rules' author, no radiologist, before the
   rules ran on any of them: 60 drawn at random (`drawn`) and 50 of the others that have a word of disease (`chosen`). 1 is present, -1 uncertain; what is
   not listed is not there. `XXXX` was read as the sentence around it suggests.
2. No label comes with the data, so a second figure needs no reader: Open-i's radiologist wrote findings and impression of the
   same images. What the impression has the findings should have.

usage: bench/labels.py PEFOMED DATA
PEFOMED is the program, DATA the folder with iu_xray/ and text/.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

READ = pathlib.Path(__file__).parent / 'labels_read.json'


def label(program, pairs):
    """[(labels of the first text, of the second)] of [(first, second)]."""
    with tempfile.TemporaryDirectory() as folder:
        rows, out = pathlib.Path(folder) / 'rows.jsonl', pathlib.Path(folder) / 'labels.jsonl'
        rows.write_text(''.join(json.dumps({'id': i, 'reference': a, 'prediction': b}) + '\n' for i, (a, b) in enumerate(pairs)))
        subprocess.run([program, 'score', rows, '--metrics', 'label_f1_micro', '--labels', out, '--quiet'], check=True,
                       stdout=subprocess.DEVNULL)
        return [(row['reference'], row['prediction']) for row in map(json.loads, out.read_text().splitlines())]


def with_no_finding(read):
    """A person's labels; No Finding follows from the others, as the rules have it."""
    found = any(name != 'Support Devices' for name in read)
    return {**read, 'No Finding': 0 if found else 1}


def kappa(pairs):
    """Cohen's, of pairs of values."""
    agree = sum(a == b for a, b in pairs) / len(pairs)
    chance = sum((sum(a == v for a, _ in pairs) / len(pairs)) * (sum(b == v for _, b in pairs) / len(pairs))
                 for v in {v for pair in pairs for v in pair})
    return 1.0 if chance == 1 else (agree - chance) / (1 - chance)


def table(pairs):
    """Of [(wanted, given)] a line a finding; uncertain counts as present for F1, as itself for kappa of three values."""
    print('| finding | read | rules | both | F1 | kappa |\n|---|---|---|---|---|---|')
    sums = [0, 0, 0]
    everything, certain = [], [0, 0, 0]
    for name in pairs[0][1]:
        values = [(wanted.get(name) or 0, given[name] or 0) for wanted, given in pairs]
        wanted, given = sum(a != 0 for a, _ in values), sum(b != 0 for _, b in values)
        both = sum(a != 0 and b != 0 for a, b in values)
        certain = [certain[0] + sum(a == 1 for a, _ in values), certain[1] + sum(b == 1 for _, b in values),
                   certain[2] + sum(a == b == 1 for a, b in values)]
        sums = [sums[0] + wanted, sums[1] + given, sums[2] + both]
        everything += values
        f1 = f'{2 * both / (wanted + given):.2f}' if wanted + given else '-'
        agreement = f'{kappa(values):.2f}' if wanted + given else '-'
        print(f'| {name} | {wanted} | {given} | {both} | {f1} | {agreement} |')
    print(f'| all | {sums[0]} | {sums[1]} | {sums[2]} | {2 * sums[2] / (sums[0] + sums[1]):.2f} | {kappa(everything):.2f} |')
    print(f'\nuncertain as absent: F1 {2 * certain[2] / (certain[0] + certain[1]):.2f}')


def show_differences(ids, pairs):
    for name, (wanted, given) in zip(ids, pairs):
        for finding, value in given.items():
            if (wanted.get(finding) or 0) != (value or 0) and finding != 'No Finding':
                print(f'  {name}: {finding} read {wanted.get(finding, 0)}, rules {value or 0}')


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, data = pathlib.Path(sys.argv[1]).absolute(), pathlib.Path(sys.argv[2])
    reports = {row['id']: row['report'] for row in json.loads((data / 'iu_xray/annotation.json').read_text())['val']}
    for part, read in json.loads(READ.read_text()).items():
        labels = label(program, [(reports[i], reports[i]) for i in read])
        pairs = [(with_no_finding(wanted), given) for wanted, (given, _) in zip(read.values(), labels)]
        print(f'\n{part}: {len(pairs)} reports')
        table(pairs)
        show_differences(read, pairs)
    rows = [json.loads(line) for line in (data / 'text/clin_summ_opi_validate.jsonl').read_text().splitlines()]
    labels = label(program, [(row['inputs'], row['target']) for row in rows])
    print(f'\nfindings (as read) and impression (as rules) of {len(rows)} validation reports, both labelled by the rules')
    table(labels)


main()
