#!/usr/bin/env python3
"""Remakes tests/eval/golden/agreement.json: made-up scores with missing ones, ties and constant raters, and what krippendorff,
scikit-learn, scipy and statsmodels say of them. Where a package gives NaN or refuses, the figure is null.

Usage: script/vectors/eval_agreement.py [OUT]
"""
import itertools
import json
import math
import os
import random
import sys
import warnings

import krippendorff
import numpy as np
from scipy import stats
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import fleiss_kappa

warnings.simplefilter('ignore')
LEVELS = ('nominal', 'ordinal', 'interval')


def attempt(function):
    try:
        value = float(function())
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def alphas(scores):
    data = [[math.nan if x is None else x for x in rater] for rater in scores]
    return {level: attempt(lambda level=level: krippendorff.alpha(reliability_data=data, level_of_measurement=level)) for level in LEVELS}


def fleiss(scores):
    """Over the items with the most scores; statsmodels wants how often each level was given."""
    items = [[x for x in item if x is not None] for item in zip(*scores)]
    most = max(len(i) for i in items)
    levels = sorted({x for i in items for x in i})
    table = np.array([[i.count(level) for level in levels] for i in items if len(i) == most])
    return attempt(lambda: fleiss_kappa(table)) if most > 1 else None


def pair(a, b, levels):
    both = [(x, y) for x, y in zip(a, b) if x is not None and y is not None]
    out = {'n': len(both)}
    x, y = [p[0] for p in both], [p[1] for p in both]
    whole = all(v == int(v) for v in x + y)
    for name, weights in (('cohen', None), ('kappa_linear', 'linear'), ('kappa_quadratic', 'quadratic')):
        out[name] = attempt(lambda w=weights: cohen_kappa_score(list(map(int, x)), list(map(int, y)), weights=w, labels=levels)) if whole and both else None
    out['pearson'] = attempt(lambda: stats.pearsonr(x, y)[0])
    out['spearman'] = attempt(lambda: stats.spearmanr(x, y)[0]) if len(both) > 1 else None
    out['kendall'] = attempt(lambda: stats.kendalltau(x, y)[0]) if len(both) > 1 else None
    out['mean_abs_diff'] = attempt(lambda: np.mean(np.abs(np.subtract(x, y)))) if both else None
    return out


def make_cases():
    rng = random.Random(21)
    yield 'plain', [[rng.randrange(5) for _ in range(40)] for _ in range(3)], None
    truth = [rng.randrange(5) for _ in range(60)]
    yield 'missing', [[None if rng.random() < .25 else max(0, min(4, t + rng.choice([-1, 0, 0, 1]))) for t in truth] for _ in range(4)], None
    yield 'scale', [[rng.choice([0, 2, 7]) for _ in range(20)] for _ in range(2)], [0, 1, 2, 3, 4, 5, 6, 7]
    yield 'gaps', [[rng.choice([0, 2, 7]) for _ in range(20)] for _ in range(2)], None
    yield 'negative', [[rng.randrange(-3, 3) for _ in range(25)] for _ in range(5)], None
    yield 'binary', [[int(rng.random() < .1) for _ in range(50)] for _ in range(3)], None
    yield 'real', [[round(rng.gauss(0, 1), 3) for _ in range(50)] for _ in range(2)] + [[round(rng.gauss(1e6, 1e-2), 6) for _ in range(50)]], None
    yield 'ties', [[rng.choice([.25, .5]) for _ in range(30)], [rng.choice([.1, .2, .3]) for _ in range(30)]], None
    yield 'constant', [[3] * 10, [3] * 10, [rng.randrange(5) for _ in range(10)], [.1 + .2] * 10, [2] * 10], None
    yield 'all-equal', [[3] * 10, [3] * 10, [3] * 10], None
    yield 'one-item', [[1], [2]], None
    yield 'one-equal', [[1], [1]], None
    yield 'apart', [[1, None, 2, None], [None, 1, None, 2], [1, 2, None, None]], None
    yield 'one-rater', [[1, 2, 3]], None
    yield 'two', [[1, 2], [2, 1]], None
    yield 'equal-where-paired', [[1, 1, None], [1, 1, 2]], None
    yield 'ten', [[None if rng.random() < .5 else rng.randrange(3) for _ in range(30)] for _ in range(10)], None


def main():
    out = []
    for name, scores, levels in make_cases():
        pairs = [pair(a, b, levels) for a, b in itertools.combinations(scores, 2)]
        out.append(dict(name=name, scores=scores, levels=levels, krippendorff=alphas(scores), fleiss=fleiss(scores), pairs=pairs))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/eval/golden/agreement.json')
    with open(path, 'w') as file:
        file.write('[\n' + ',\n'.join(json.dumps(c) for c in out) + '\n]\n')


main()
