#!/usr/bin/env python3
"""Remakes the golden vectors of the text encoders: what transformers computes in f32.

Needs: pip install torch transformers tokenizers safetensors
Usage: bert.py OUT   (OUT is tests/models/golden; reads the vocabularies of wordpiece.py in tests/text/golden)
Each network is small, with random weights: OUT/text_NAME/ has what its family brings. OUT/text.json has for each {"texts", "ids", and
by layer "states": the norm and four projections of the hidden states [tokens, hidden] of each text alone: projection k =
sum of state[i] * cos(0.7 * (k + 1) * i + k)}. Layer n is transformers' hidden_states[n].
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = ['The heart size is normal.', 'No pleural effusion', '', 'x', "Small bilateral pleural effusions, aren't they (stable)? " * 3,
         'a [MASK] b', 'caf\u00e9 \u5fc3\u810f <pad> </s>']


def randomise(net, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) * (1.2 / p.shape[-1] ** .5 if p.dim() > 1 else .3) + (1. if 'orm.weight' in name else 0.))
    return net.float().eval()


def project(states):
    flat = states.double().numpy().ravel()
    i = np.arange(flat.size, dtype=np.float64)
    return [float(np.sqrt((flat ** 2).sum()))] + [float((flat * np.cos(.7 * (k + 1) * i + k)).sum()) for k in range(4)]


def roberta_tokenizer(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXTS[:5], trainers.BpeTrainer(
        vocab_size=290, special_tokens=['<s>', '<pad>', '</s>', '<unk>', '<mask>'], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.post_processor = processors.RobertaProcessing(('</s>', 2), ('<s>', 0), add_prefix_space=False)
    tokenizer.save(os.path.join(folder, 'tokenizer.json'), pretty=False)
    with open(os.path.join(folder, 'tokenizer_config.json'), 'w') as file:
        json.dump({'tokenizer_class': 'RobertaTokenizer', 'bos_token': '<s>', 'eos_token': '</s>', 'unk_token': '<unk>',
                   'pad_token': '<pad>', 'mask_token': '<mask>', 'cls_token': '<s>', 'sep_token': '</s>', 'model_max_length': 62}, file)
    return tokenizer


def networks():
    words = 170
    yield 'bert', hf.BertModel(hf.BertConfig(vocab_size=words, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                                             max_position_embeddings=48, type_vocab_size=2))
    yield 'roberta', hf.RobertaModel(hf.RobertaConfig(vocab_size=290, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                                                      intermediate_size=24, max_position_embeddings=66, type_vocab_size=1, pad_token_id=1))
    yield 'distilbert', hf.DistilBertForMaskedLM(hf.DistilBertConfig(vocab_size=words, dim=16, n_layers=2, n_heads=2, hidden_dim=24,
                                                                     max_position_embeddings=40))


def main(out):
    result, vocabulary = {}, os.path.join(out, '..', '..', 'text', 'golden', 'wordpiece')
    for seed, (name, net) in enumerate(networks()):
        folder = os.path.join(out, 'text_' + name)
        os.makedirs(folder, exist_ok=True)
        if name == 'roberta':
            tokenizer = roberta_tokenizer(folder)
        else:
            for file in ('vocab.txt', 'tokenizer_config.json'):
                shutil.copy(os.path.join(vocabulary, file), folder)
            with open(os.path.join(folder, 'vocab.txt'), encoding='utf-8') as file:
                words = {word.rstrip('\n'): i for i, word in enumerate(file)}
            tokenizer = hf.BertTokenizer(vocab=words, do_lower_case=True).backend_tokenizer
        randomise(net, seed)
        config = {k: v for k, v in net.config.to_dict().items() if v is not None}
        with open(os.path.join(folder, 'config.json'), 'w') as file:
            json.dump(config, file, indent=1, sort_keys=True)
        save_file({k: v.contiguous().clone() for k, v in net.state_dict().items()}, os.path.join(folder, 'model.safetensors'), {'format': 'pt'})
        most = {'bert': 48, 'roberta': 62, 'distilbert': 40}[name]
        tokenizer.no_padding()
        tokenizer.enable_truncation(most)
        rows = [tokenizer.encode(text).ids for text in TEXTS]
        states = {}
        with torch.no_grad():
            for ids in rows:
                hidden = net(torch.tensor([ids]), output_hidden_states=True).hidden_states
                for layer in range(1, len(hidden)):
                    states.setdefault(str(layer), []).append(project(hidden[layer][0]))
        result[name] = {'texts': TEXTS, 'ids': rows, 'states': states}
    with open(os.path.join(out, 'text.json'), 'w') as file:
        json.dump(result, file, separators=(',', ':'))


if __name__ == '__main__':
    main(sys.argv[1])
