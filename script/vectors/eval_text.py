#!/usr/bin/env python3
"""Remakes tests/eval/golden/text.json: made-up texts, hard ones among them, and their scores by the packages that people trust.

Needs: pip install pycocoevalcap==1.2 sacrebleu==2.6.0 rouge-score==0.1.2 numpy
Usage: script/vectors/eval_text.py [OUT]
With --check PROGRAM FILE: scores a predictions file (JSON lines with reference and prediction) by the program and by the
packages, and prints the largest difference.
"""
import json
import os
import random
import subprocess
import sys

import sacrebleu
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from rouge_score import rouge_scorer

HARD = [('No acute disease.', 'no acute disease'), ('a', ''), ('', ''), ('', 'a b'), ('one', 'one'), ('two words', 'two words'),
        ('The heart is 1,234.5 mm, i.e. large-sized (T2-w); 50%/day.', 'The heart is 1,234.5mm. Large-sized (T2-w); 50 % a day..'),
        ('R&amp;D &lt;x&gt; &quot;q&quot; <skipped>end mid<skipped>dle', 'R&D <x> "q" end middle'), ("don't it's 3-4 5- -6 a-b", "dont it's 3 - 4 5 -6 a-b"),
        ('line one-\nline two\nthree', 'line oneline two three'), ('caf\u00e9. na\u00efve,\u00e9 \u6c34\u80bf\uff0c', 'cafe. naive,e \u6c34\u80bf ,'),
        ('\u212aelvin \u0130stanbul STRASSE', 'kelvin istanbul stra\u00dfe'), ('tab\tand\u00a0nbsp\u3000wide \u2003', 'tab and nbsp wide'),
        ('a a a a b', 'a a b b b b'), ('1.2.3,4 ...', '1 . 2.3 ,4. . .'), ('\U0001fac1 lungs {clear} [no] |x| ~y', '\U0001fac1 lungs clear'),
        ('ends with dash-\n', 'ends with dash-'), ('. , ; :', '., ;:')]
WORDS = ('the lungs are clear heart size is normal no pleural effusion or pneumothorax seen in left right lower lobe opacity . , '
         'mild moderate cardiomegaly stable unchanged').split()


def make_rows():
    rng = random.Random(11)
    rows = [dict(reference=r, prediction=p) for r, p in HARD]
    for _ in range(60):
        reference = [rng.choice(WORDS) for _ in range(rng.randrange(3, 25))]
        prediction = [w if rng.random() < .7 else rng.choice(WORDS) for w in reference][:rng.randrange(2, 30)]
        if rng.random() < .3:
            rng.shuffle(prediction)
        rows.append(dict(reference=' '.join(reference).capitalize(), prediction=' '.join(prediction)))
    return rows


def score(rows):
    references, predictions = [r['reference'] for r in rows], [r['prediction'] for r in rows]
    space = lambda texts: {i: [' '.join(t.split())] for i, t in enumerate(texts)}  # the package expects one blank between words
    gts, res = space(references), space(predictions)
    bleus, _ = Bleu(4).compute_score(gts, res, verbose=0)
    out = {f'bleu{n + 1}': bleus[n] for n in range(4)}
    out['rouge_l'] = float(Rouge().compute_score(gts, res)[0])
    out['cider'] = float(Cider().compute_score(gts, res)[0])
    out['sacrebleu'] = sacrebleu.metrics.BLEU().corpus_score(predictions, [references]).score
    out['chrf'] = sacrebleu.metrics.CHRF().corpus_score(predictions, [references]).score
    scorer = rouge_scorer.RougeScorer(['rouge1', 'rouge2', 'rougeL'])
    for name in ('rouge1', 'rouge2', 'rougeL'):
        out[name] = sum(scorer.score(r, p)[name].fmeasure for r, p in zip(references, predictions)) / len(rows)
    return out


def check(program, path):
    with open(path) as file:
        rows = [json.loads(line) for line in file if line.strip()]
    want = score(rows)
    got = json.loads(subprocess.run([program, 'score', path, '--metrics', ','.join(want), '--json'], check=True,
                                    capture_output=True).stdout)['metrics']
    for name in want:
        print(f'{name:<10} {want[name]:20.12f} {got[name]:20.12f}')
    print('largest difference', max(abs(want[n] - got[n]) for n in want))


def main():
    if sys.argv[1:2] == ['--check']:
        return check(*sys.argv[2:])
    rows = make_rows()
    # The whole, the hard ones alone, and single rows: a corpus figure may hide what goes wrong in one of them.
    cases = [rows, rows[:len(HARD)], *([r] for r in rows[:len(HARD)] if r['reference'])]
    out = [dict(rows=c, want=score(c)) for c in cases]
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/text.json')
    with open(path, 'w') as file:
        json.dump(out, file, indent=0)
        file.write('\n')


main()
