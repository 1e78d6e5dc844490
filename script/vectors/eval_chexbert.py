#!/usr/bin/env python3
"""Remakes the golden F1 of CheXbert's labels: scikit-learn's, of the classes that chexbert.py recorded.

Needs: pip install scikit-learn   (and chexbert.py to have run)
Usage: eval_chexbert.py OUT
OUT is tests/eval/golden/chexbert.json: {"one": {metric: value}, "two": the same}. In "one" each text of chexbert.json is a reference, the next one
(the first after the last) its prediction; in "two" each text and the next are references, the one after these the prediction.
The published scripts take positive (1) and, where uncertain counts, uncertain (3) as 1 and leave findings without any at 0.
"""
import json
import os
import sys

import numpy
from sklearn.metrics import f1_score

NAMES = ['Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity', 'Lung Lesion', 'Edema', 'Consolidation', 'Pneumonia', 'Atelectasis',
         'Pneumothorax', 'Pleural Effusion', 'Pleural Other', 'Fracture', 'Support Devices', 'No Finding']
FIVE = [NAMES.index(name) for name in ('Cardiomegaly', 'Edema', 'Consolidation', 'Atelectasis', 'Pleural Effusion')]


def main(out):
    with open(os.path.join(os.path.dirname(out), '..', '..', 'models', 'golden', 'chexbert.json')) as file:
        classes = numpy.array(json.load(file)['classes'])
    figures = {'one': {}, 'two': {}}
    for doubt, found in (('', (1, 3)), ('_certain', (1,))):
        has = numpy.isin(classes, found).astype(int)
        following = numpy.roll(has, -1, axis=0)
        for rows, wanted, given in (('one', has, following), ('two', has | following, numpy.roll(has, -2, axis=0))):
            for five, columns in (('', slice(None)), ('5', FIVE)):
                for average in ('micro', 'macro'):
                    name = f'chexbert_f1_{average}{five}{doubt}'
                    figures[rows][name] = f1_score(wanted[:, columns], given[:, columns], average=average, zero_division=0)
    with open(out, 'w') as file:
        json.dump(figures, file, indent=1, sort_keys=True)
        file.write('\n')


if __name__ == '__main__':
    main(sys.argv[1])
