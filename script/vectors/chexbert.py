#!/usr/bin/env python3
"""Remakes the golden labels of CheXbert's network: those of a replica in PyTorch with small random weights.

Needs: pip install torch transformers   (and wordpiece.py to have run)
Usage: chexbert.py OUT   (OUT is tests/models/golden)
OUT/chexbert/ is laid out like the published checkpoint (DataParallel's names in `model_state_dict`, an epoch, an optimizer) with a
config.json, for its sizes are not bert-base's; OUT/chexbert.json has {"texts", "classes"}, a class for each of the fourteen heads.
"""
import json
import os
import shutil
import sys

import torch
import transformers as hf
from torch import nn

TEXTS = ['The heart size is normal. No pleural effusion or pneumothorax is seen.', '', 'Cardiomegaly', ' small  bilateral\npleural effusions ',
         'No focal consolidation; lungs hyperinflated', 'Edema', 'stable atelectasis ' * 30, 'x', 'increased compared with prior']


class CheXbert(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.bert = hf.BertModel(config)
        self.linear_heads = nn.ModuleList([nn.Linear(config.hidden_size, 4) for _ in range(13)] + [nn.Linear(config.hidden_size, 2)])

    def forward(self, ids):
        state = self.bert(ids)[0][:, 0]
        return [head(state).argmax(1).item() for head in self.linear_heads]


def main(out):
    folder = os.path.join(out, 'chexbert')
    os.makedirs(folder, exist_ok=True)
    for file in ('vocab.txt', 'tokenizer_config.json'):
        shutil.copy(os.path.join(out, '..', '..', 'text', 'golden', 'wordpiece', file), folder)
    config = hf.BertConfig(vocab_size=170, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
                           max_position_embeddings=40)
    with open(os.path.join(folder, 'config.json'), 'w') as file:
        json.dump({k: v for k, v in config.to_dict().items() if v is not None} | {'model_type': 'bert'}, file, indent=1, sort_keys=True)
    torch.manual_seed(5)
    net = CheXbert(config).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) * (1.2 / p.shape[-1] ** .5 if p.dim() > 1 else .3) + (1. if 'orm.weight' in name else 0.))
    torch.save({'epoch': 7, 'model_state_dict': nn.DataParallel(net).state_dict(),
                'optimizer_state_dict': {'state': {0: {'step': 1, 'exp_avg': torch.zeros(3)}}, 'param_groups': [{'lr': 2e-5}]}},
               os.path.join(folder, 'chexbert.pth'))
    with open(os.path.join(folder, 'vocab.txt'), encoding='utf-8') as file:
        tokenizer = hf.BertTokenizer(vocab={word.rstrip('\n'): i for i, word in enumerate(file)}, do_lower_case=True)
    with torch.no_grad():
        classes = [net(torch.tensor([tokenizer.encode(text, truncation=True, max_length=40)])) for text in TEXTS]
    with open(os.path.join(out, 'chexbert.json'), 'w') as file:
        json.dump({'texts': TEXTS, 'classes': classes}, file, separators=(',', ':'))


if __name__ == '__main__':
    main(sys.argv[1])
