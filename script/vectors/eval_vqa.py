#!/usr/bin/env python3
"""Remakes tests/eval/golden/vqa.json: a small set of made-up predictions and their scores, computed here from the definitions
and without the program. Needs Python's standard library only.

Usage: script/vectors/eval_vqa.py [OUT]
"""
import collections
import json
import math
import os
import random
import sys
import unicodedata

SPACES = set('\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000') | {chr(c) for c in range(0x2000, 0x200b)}


def normalise(text):
    lower = ''.join(c.lower() for c in unicodedata.normalize('NFC', text))
    kept = ''.join(c for c in lower if c in SPACES or c in '_,/' or unicodedata.category(c)[0] in 'LN')
    return ' '.join(w for w in ''.join(' ' if c in SPACES else c for c in kept).split(' ') if w)


TEXTS = ['Yes', ' yes. ', 'Left  Lung,\tRight/Lung', 'T2-weighted', '12.5 cm', 'snake_case', 'Caf\u00e9', 'Cafe\u0301', '\u0130stanbul',
         '\u039f\u0394\u039f\u03a3', '\u6c34\u80bf\uff0c\u53f3\u80ba\u3002', '\uff21\uff22\uff13', '\u00bd \u2167 \u0663', 'a\u00a0b\u3000c\u200ad', 'a\u200bb', 'a\x1cb',
         '\ud55c\uad6d\uc5b4', '\u1112\u1161\u11ab', '\u212b', '\ufb01bula', '!?.-', '', '  ', "Crohn's disease", '\U0001d7d8\U0001f9e0x',
         '\u0928\u092e\u0938\u094d\u0924\u0947', 'A\u030a', '\u1e9b\u0323', 'stra\u00dfe \u1e9e', '\u01c5', 'x - y', '\u2074\u2082', 'CT (axial)', '<T1>', '3e4', 'caf\u00e9/th\u00e9, x_\u00e9']


def make_rows():
    rng = random.Random(7)
    training, rows = [], []
    bank = [('Is this a CT?', ['Yes', 'No'], 'CLOSED'), ('Is the lung  normal ?', ['yes', 'no.'], 'CLOSED'),
            ('Which is bigger, left or right?', ['Left', 'Right lung', 'left '], 'CLOSED'),
            ('Where is the lesion?', ['Left Lung', 'Right lobe of liver', 'left lung, right lung', '\u53f3\u80ba'], 'OPEN'),
            ('What is shown?', ['Pneumonia', 'Brain tumor', 'caf\u00e9', 'Cafe\u0301'], 'OPEN'), ('How many?', [1, 2, 2.5], 'OPEN'),
            ('Is this an MRI?', ['Yes', 'No', 'no'], 'CLOSED')]
    for i in range(60):
        question, answers, kind = bank[rng.randrange(5)]
        training.append(dict(question=question.upper() if i % 3 else question, answer=rng.choice(answers), answer_type=kind))
    training.append(dict(question='How heavy?', answer=2, answer_type='open '))
    for i in range(97):
        question, answers, kind = rng.choice(bank)
        answer = rng.choice(answers)
        guess = answer if rng.random() < .6 else rng.choice(answers)
        prediction = rng.choice([str(guess), str(guess).lower() + '.', ' ' + str(guess).upper()])
        if rng.random() < .1:
            prediction = rng.choice(['', 'left', 'lung lung left', '\U0001f9e0'])
        row = dict(id=f'q{i}' if i % 2 else i, image=f'im{rng.randrange(17)}.jpg', question=question, answer=answer,
                   prediction=prediction, answer_type=kind if i % 5 else kind.lower() + ' ', modality=rng.choice(['CT', 'MRI ', 'X-Ray']),
                   age=rng.choice([7, 63, '071Y', 69, 100]), sex=rng.choice(['F', 'M', None]), contrast=rng.random() < .5)
        if i % 4:
            row['probability'] = round(rng.random(), 3) if i % 3 else rng.choice([0, 1, .5])
        rows.append(row)
    return training, rows


def kind_of(row):
    return row['answer_type'].strip().upper()


def share(values):
    return 100 * sum(values) / len(values) if values else None


def recall(answer, prediction):
    words, found = set(normalise(answer).split()), set(normalise(prediction).split())
    return len(words & found) / len(words) if words else float(not found)


def f1(a, b):
    a, b = collections.Counter(normalise(a).split()), collections.Counter(normalise(b).split())
    total = sum(a.values()) + sum(b.values())
    return 2 * sum((a & b).values()) / total if total else 1.


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def prior(training, rows):
    same, kinds = collections.defaultdict(collections.Counter), collections.defaultdict(collections.Counter)
    for t in training:
        same[normalise(t['question'])][normalise(text(t['answer']))] += 1
        kinds[kind_of(t)][normalise(text(t['answer']))] += 1
    right = []
    for r in rows:
        counts = same.get(normalise(r['question'])) or kinds[kind_of(r)]
        right.append(counts.most_common(1)[0][0] == normalise(text(r['answer'])))
    return right


def calibration(pairs):
    bins = []
    for i in range(10):
        inside = [(p, c) for p, c in pairs if (i / 10 <= p < (i + 1) / 10) or (i == 9 and p == 1)]
        bins.append(dict(n=len(inside), confidence=share([p for p, _ in inside]), accuracy=share([c for _, c in inside])))
    n = len(pairs)
    ece = sum(b['n'] / n * abs(b['confidence'] - b['accuracy']) for b in bins if b['n'])
    coverage = []
    for percent in range(100, 0, -10):
        kept = math.ceil(n * percent / 100 - 1e-9)
        threshold = sorted((p for p, _ in pairs), reverse=True)[kept - 1]
        above = [c for p, c in pairs if p > threshold]
        tied = [c for p, c in pairs if p == threshold]
        coverage.append(dict(n=kept, threshold=100 * threshold, accuracy=100 * (sum(above) + sum(tied) / len(tied) * (kept - len(above))) / kept))
    return dict(n=n, bins=bins, ece=ece, brier=sum((p - c) ** 2 for p, c in pairs) / n, coverage=coverage)


def decade(age):
    years = int(str(age).rstrip('Y'))
    return f'{years // 10 * 10}-{years // 10 * 10 + 9}'


def groups(rows, correct, name, label):
    out = collections.defaultdict(list)
    for r, c in zip(rows, correct):
        if r.get(name) is not None:
            out[label(r[name])].append(c)
    return {k: dict(n=len(v), overall=share(v)) for k, v in sorted(out.items())}


def main():
    training, rows = make_rows()
    correct = [normalise(text(r['answer'])) == normalise(r['prediction']) for r in rows]
    closed = [kind_of(r) == 'CLOSED' for r in rows]
    guess = prior(training, rows)
    pick = lambda values, want: [v for v, c in zip(values, closed) if c == want]
    want = dict(n=len(rows), n_closed=sum(closed), n_open=len(rows) - sum(closed), overall=share(correct), closed=share(pick(correct, True)),
                open=share(pick(correct, False)),
                recall_open=share([recall(text(r['answer']), r['prediction']) for r, c in zip(rows, closed) if not c]),
                prior=dict(overall=share(guess), closed=share(pick(guess, True)), open=share(pick(guess, False))),
                calibration=calibration([(r['probability'], c) for r, c in zip(rows, correct) if 'probability' in r]),
                by=dict(answer_type=groups(rows, correct, 'answer_type', lambda v: v.strip().upper()),
                        modality=groups(rows, correct, 'modality', str.strip), age=groups(rows, correct, 'age', decade),
                        sex=groups(rows, correct, 'sex', str), contrast=groups(rows, correct, 'contrast', lambda v: str(v).lower())),
                f1_token=sum(f1(text(r['answer']), r['prediction']) for r in rows) / len(rows))
    out = dict(normalise=[[t, normalise(t)] for t in TEXTS], training=training, predictions=rows, correct=correct, want=want)
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/vqa.json')
    with open(path, 'w') as file:
        json.dump(out, file, indent=0)
        file.write('\n')


main()
