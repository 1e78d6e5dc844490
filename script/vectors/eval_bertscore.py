#!/usr/bin/env python3
"""Remakes the golden figures of BERTScore: those of the package bert-score with the small encoders of tests/models/golden.

Needs: pip install bert-score transformers torch   (and bert.py to have run)
Usage: eval_bertscore.py OUT [MODEL LAYER DATA LIMIT]
OUT is tests/eval/golden/bertscore.json: for each network and layer {"rows": [{"prediction", "references"}], "scores": [[P, R, F]]}.
One pair is scored at a time: in a batch the package counts what pads a shorter text as a similarity of 0, which lifts negative ones.
With MODEL (a folder) instead one layer of that on the rows {"reference", "prediction"} of the JSON lines DATA, LIMIT of them, in OUT.
"""
import json
import os
import sys

from bert_score import BERTScorer

ROWS = [
    ('The heart size is normal.', ['The heart is normal in size.']),
    ('No pleural effusion', ['No effusion is seen', 'There is a pleural effusion', '']),
    ('', ['The heart']), ('heart', ['']), ('', ['']), (' \t\u00a0 ', ['x']), ('  heart size\n', ['heart size']),
    ('[SEP] heart [CLS]', ['heart [MASK]']), ('\u5fc3\u810f HEART', ['\u5fc3 heart', 'h\u00e9art']),
    ('x', ['pneumothorax']), ('Small bilateral pleural effusions, increased compared with prior. ' * 4, ['No pleural effusions. ' * 12]),
]


class Encoder:
    """A scorer whose tokenizer does what transformers 4's did, which bert-score was written for: it answers an empty text, and heeds
    add_prefix_space, which bert-score sets for RoBERTa."""

    def __init__(self, path, layer):
        self.scorer = BERTScorer(model_type=path, num_layers=layer, idf=False, rescale_with_baseline=False, batch_size=1)
        self.scorer._model.float()
        tokenizer = self.scorer._tokenizer
        if tokenizer.model_max_length > 10 ** 6:
            tokenizer.model_max_length = self.scorer._model.config.max_position_embeddings
        if not hasattr(tokenizer, 'build_inputs_with_special_tokens'):
            tokenizer.build_inputs_with_special_tokens = lambda ids: [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
        if 'Roberta' in type(tokenizer).__name__:
            encode = tokenizer.encode
            tokenizer.encode = lambda text, add_prefix_space, **options: encode(' ' + text, **options)

    def score(self, prediction, references):
        figures = [[float(x[0]) for x in self.scorer.score([prediction], [reference])] for reference in references]
        return [round(max(column), 7) for column in zip(*figures)]


def small(path):
    models = os.path.join(os.path.dirname(path), '..', '..', 'models', 'golden')
    out = {}
    for name, layers in (('bert', (1, 2)), ('roberta', (1,)), ('distilbert', (2,))):
        for layer in layers:
            encoder = Encoder(os.path.join(models, 'text_' + name), layer)
            out[f'{name} {layer}'] = [encoder.score(*row) for row in ROWS]
    return {'rows': [{'prediction': p, 'references': r} for p, r in ROWS], 'scores': out}


def main():
    if len(sys.argv) == 2:
        result = small(sys.argv[1])
    else:
        encoder, rows = Encoder(sys.argv[2], int(sys.argv[3])), []
        with open(sys.argv[4], encoding='utf-8') as file:
            for line in list(file)[:int(sys.argv[5])]:
                row = json.loads(line)
                references = row['references'] if 'references' in row else [row['reference']]
                rows.append(encoder.score(row['prediction'], references))
        result = {'n': len(rows), 'mean': [sum(c) / len(rows) for c in zip(*rows)], 'rows': rows}
    with open(sys.argv[1], 'w') as file:
        json.dump(result, file, separators=(',', ':'))


if __name__ == '__main__':
    main()
