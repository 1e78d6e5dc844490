#!/usr/bin/env python3
"""Remakes tests/eval/golden/text.json: made-up texts, hard ones among them, and their scores by the packages that people trust.

Needs what text_metrics.py beside it names; script/check-metrics compares on whole files.
Usage: script/vectors/eval_text.py [OUT]
"""
import json
import os
import random
import sys

import text_metrics

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


def make_many():
    """Several references a row, some with weights, words that only stems and synonyms join, and cases that change length."""
    rng = random.Random(12)
    rows = [dict(references=['Sicknesses of the feet were studied.', 'An illness of the foot studies'], prediction='Disease of foot study'),
            dict(references=['No acute disease', 'there is no acute abnormality seen .', 'normal chest'], weights=[1, .5, -.2],
                 prediction='No acute abnormality seen .'),
            dict(references=['ΟΔΟΣ \u0130I', ''], weights=[.6, .9], prediction='οδος i\u0307i'),
            dict(references=['an illness , a picture , an illness'], prediction='sickness in the image of sickness'),
            dict(references=['\u80ba\u90e8\u6e05\u6670\uff0c.5 T2, \u65e0\u5f02\u5e38\u3002', '\u6e05\u6670 \u2001x\u2a6ey 3-4'], weights=[.7, 1], prediction=' \u80ba\u6e05\u6670,T2\u65e0\u2001x\u2a6ey'),
            dict(references=['ill lung vomit'], prediction='lung sick'),
            dict(references=['dying geologies happily YYYed hopping', 'die geology happy'], prediction='die geology happy yyy hop')]
    for _ in range(12):
        texts = [' '.join(rng.choice(WORDS) for _ in range(rng.randrange(1, 12))) for _ in range(rng.randrange(1, 5))]
        row = dict(references=texts, prediction=' '.join(w for w in rng.choice(texts).split() if rng.random() < .8))
        rows.append(row | dict(weights=[rng.choice([.6, .7, .8, .9]) for _ in texts]) if rng.random() < .5 else row)
    return rows


def main():
    rows, many, wordnet = make_rows(), make_many(), text_metrics.open_wordnet()
    # The whole, the hard ones alone, and single rows: a corpus figure may hide what goes wrong in one of them.
    cases = [rows, rows[:len(HARD)], *([r] for r in rows[:len(HARD)] if r['reference']), many, *([r] for r in many[:7])]
    out = [dict(rows=c, want=text_metrics.score(c, wordnet=wordnet)) for c in cases]
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/text.json')
    with open(path, 'w') as file:
        json.dump(out, file, indent=0)
        file.write('\n')


main()
