"""What the packages that people trust say of texts, for eval_text.py, check-metrics and bench/score.py.

Needs: pip install pycocoevalcap==1.2 sacrebleu==2.6.0 rouge-score==0.1.2 nltk==3.10.4 numpy, and WordNet 3.0's files (Debian's
wordnet-base, or PEFOMED_WORDNET). CIDEr without clipping is in none of them, deltaBLEU in none that is a package: both are written here
from their definitions.
"""
import atexit
import collections
import math
import os
import re
import shutil
import tempfile
import warnings

import nltk
import numpy as np
import sacrebleu
from nltk.corpus.reader import WordNetCorpusReader
from nltk.translate.meteor_score import meteor_score
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from rouge_score import rouge_scorer
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

NAMES = ('bleu1 bleu2 bleu3 bleu4 rouge_l cider ciderd cider_plain sacrebleu sacrebleu1 chrf rouge1 rouge2 rougeL meteor_nltk '
         'deltableu deltableu_zh').split()


class Reader(WordNetCorpusReader):
    """nltk's, without its map between versions, which asks for another WordNet and serves other languages."""

    def map_wn(self, version='wordnet'):
        return None


def open_wordnet():
    """nltk's reader of a copy of the files, for it wants one file more (lexnames), of which METEOR needs nothing."""
    folder = os.environ.get('PEFOMED_WORDNET') or '/usr/share/wordnet'
    root = tempfile.mkdtemp(prefix='wordnet-')
    atexit.register(shutil.rmtree, root)
    for part in ('noun', 'verb', 'adj', 'adv'):
        for name in (f'index.{part}', f'data.{part}', f'{part}.exc'):
            shutil.copy(os.path.join(folder, name), root)
    with open(os.path.join(root, 'lexnames'), 'w') as file:
        file.writelines(f'{i:02d}\tname{i}\t1\n' for i in range(45))
    nltk.data.path.append(root)  # nltk opens what lies in its folders only
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return Reader(root, None)


def references_of(row):
    return row['references'] if 'references' in row else [row['reference']]


def cider_plain(gts, res):
    grams = lambda text: collections.Counter(tuple(text.split()[i:i + n]) for n in range(1, 5)
                                             for i in range(len(text.split()) - n + 1))
    wanted = {i: [grams(t) for t in texts] for i, texts in gts.items()}
    frequency = collections.Counter(g for counts in wanted.values() for g in set().union(*counts))
    weigh = lambda counts: {g: c * (math.log(len(gts)) - math.log(max(1, frequency[g]))) for g, c in counts.items()}
    scores = []
    for i, (text,) in res.items():
        given, score = weigh(grams(text)), 0
        for counts in wanted[i]:
            want = weigh(counts)
            for n in range(1, 5):
                norm = lambda v: math.sqrt(sum(x * x for g, x in v.items() if len(g) == n))
                product = sum(x * want.get(g, 0) for g, x in given.items() if len(g) == n)
                norms = norm(given) * norm(want)
                score += product / norms if norms else product
        scores.append(10 * score / 4 / len(wanted[i]))
    return float(np.mean(scores))


def deltableu(rows, cut):
    """As MEDIQA-M3G 2024's scorer calls its copy of sacreBLEU 1.4.1: lowercase=True reaches predictions only."""
    correct, total, length, wanted_length = [0] * 4, [0] * 4, 0, 0
    grams = lambda words: collections.Counter(tuple(words[i:i + n]) for n in range(1, 5) for i in range(len(words) - n + 1))
    for row in rows:
        given = cut(row['prediction'].lower().rstrip()).split()
        texts = [cut(t.rstrip()).split() for t in references_of(row)]
        weights = row.get('weights') or [1] * len(texts)
        length += len(given)
        wanted_length += min((abs(len(given) - len(t)), len(t)) for t in texts)[1]
        most, weight = collections.Counter(), {}
        for words, w in zip(texts, weights):
            for g, c in grams(words).items():
                most[g] = max(most[g], c)
                weight[g] = max(weight.get(g, w), w)
        for g, c in grams(given).items():
            match = min(c, most.get(g, 0))
            if match:
                correct[len(g) - 1] += weight[g] * match
            total[len(g) - 1] += max(weights) * c
    halves, logarithms = 1, []
    for c, t in zip((max(c, 0) for c in correct), total):
        if t == 0:
            break
        if c == 0:
            halves *= 2
        logarithms.append(math.log(100 / (halves * t) if c == 0 else 100 * c / t))
    if not logarithms:
        return 0.0
    penalty = math.exp(1 - wanted_length / length) if length < wanted_length else 1
    return penalty * math.exp(sum(logarithms) / len(logarithms))


def cut_ptb(texts):
    """coco's words, by Stanford's program (needs java). It takes a text a line and cuts lines where Java does."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
    lines = [re.sub('[\\r\\x0b\\x0c\\x85\\u2028\\u2029]', ' ', t) for t in texts]
    cut = PTBTokenizer().tokenize({i: [dict(caption=t)] for i, t in enumerate(lines)})
    return [cut[i][0] for i in range(len(texts))]


def clean_r2gen(text, mimic=False):
    """R2Gen's clean_report, by what it replaces how often."""
    times = [('\n', ' ', 1), ('__', '_', 7), ('  ', ' ', 6), ('..', '.', 8)] if mimic else [('..', '.', 3)]
    times += [('1. ', '', 1)] + [(f'. {n}. ', '. ', 1) for n in range(2, 6)] + [(f' {n}. ', '. ', 1) for n in range(2, 6)]
    for what, by, count in times:
        for _ in range(count):
            text = text.replace(what, by)
    clean = lambda sentence: re.sub(r'[.,?;*!%^&_+():-\[\]{}]', '', re.sub(r'["/\\\']', '', sentence).strip().lower())
    return ' . '.join(clean(s) for s in text.strip().lower().split('. ')) + ' .'


def first_words(text, most):
    return ' '.join(text.split()[:most])


def prepare_r2gen(rows, training=(), mimic=False):
    """What R2Gen's tester decodes: references of unknown words and one word less than the longest sequence."""
    most, threshold = (100, 10) if mimic else (60, 3)
    counts = collections.Counter(w for t in training for w in clean_r2gen(t, mimic).split())
    known = lambda word: word if not training or counts[word] >= threshold else '<unk>'
    reference = lambda text: ' '.join(known(w) for w in clean_r2gen(text, mimic).split()[:most - 1])
    return [dict(references=[reference(t) for t in references_of(r)], prediction=first_words(clean_r2gen(r['prediction'], mimic), most))
            for r in rows]


def score(rows, names=NAMES, wordnet=None):
    """{name: figure} of rows with reference or references (and weights) and prediction."""
    predictions = [r['prediction'] for r in rows]
    references = [references_of(r) for r in rows]
    most = max(map(len, references))
    streams = [[texts[k] if k < len(texts) else None for texts in references] for k in range(most)]
    space = lambda text: ' '.join(text.split())  # the package expects one blank between words
    gts = {i: [space(t) for t in texts] for i, texts in enumerate(references)}
    res = {i: [space(t)] for i, t in enumerate(predictions)}
    out = {}
    if 'bleu1' in names:
        bleus, _ = Bleu(4).compute_score(gts, res, verbose=0)
        out |= {f'bleu{n + 1}': bleus[n] for n in range(4)}
    if 'rouge_l' in names:
        out['rouge_l'] = float(Rouge().compute_score(gts, res)[0])
    if 'cider' in names:
        out['cider'] = out['ciderd'] = float(Cider().compute_score(gts, res)[0])
    if 'cider_plain' in names:
        out['cider_plain'] = cider_plain(gts, res)
    if 'sacrebleu' in names:
        out['sacrebleu'] = sacrebleu.metrics.BLEU().corpus_score(predictions, streams).score
    if 'sacrebleu1' in names:
        out['sacrebleu1'] = sacrebleu.metrics.BLEU(max_ngram_order=1).corpus_score(predictions, streams).score
    if 'chrf' in names:
        out['chrf'] = sacrebleu.metrics.CHRF().corpus_score(predictions, streams).score
    if 'rouge1' in names:
        kinds = ['rouge1', 'rouge2', 'rougeL']
        scorer = rouge_scorer.RougeScorer(kinds)
        scores = [scorer.score_multi(texts, p) for texts, p in zip(references, predictions)]
        out |= {k: sum(s[k].fmeasure for s in scores) / len(rows) for k in kinds}
    if 'meteor_nltk' in names:
        scores = [meteor_score([t.split() for t in texts], p.split(), wordnet=wordnet)
                  for texts, p in zip(references, predictions)]
        out['meteor_nltk'] = sum(scores) / len(rows)
    if 'deltableu' in names:
        out['deltableu'] = deltableu(rows, Tokenizer13a())
    if 'deltableu_zh' in names:
        out['deltableu_zh'] = deltableu(rows, TokenizerZh())
    return {n: out[n] for n in names}
