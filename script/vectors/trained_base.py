#!/usr/bin/env python3
"""Makes adapters of the PEFT methods that train the base's own parameters, with random values, on two models of
tests/models/golden/families.json, and what PEFT computes with them: logits, the gradient of every tensor and of the input.

usage: script/vectors/trained_base.py [OUT]       (needs numpy, safetensors, torch, transformers, peft from PyPI)

OUT (tests/peft/golden) gets a folder a case, as save_pretrained writes it, and trained_base.safetensors.
"""
import json
import os
import sys

import numpy as np
import torch
import transformers
from peft import LNTuningConfig, LoraConfig, get_peft_model
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '../../tests/peft/golden')
TOKENS = 7
KINDS = {'gpt2': (transformers.GPT2Config, transformers.GPT2LMHeadModel), 'llama': (transformers.LlamaConfig, transformers.LlamaForCausalLM),
         'phi': (transformers.PhiConfig, transformers.PhiForCausalLM)}
NONE = dict(task_type='CAUSAL_LM', target_modules='dummy-target-modules')
# name: model, what PEFT makes of it, whether ids are read (where an embedding trains) or embeddings
CASES = {
    'bitfit': ('phi', LoraConfig(bias='all', **NONE), False),
    'ln_tuning': ('gpt2', LNTuningConfig(task_type='CAUSAL_LM'), False),
    'ln_tuning_some': ('phi', LNTuningConfig(task_type='CAUSAL_LM', target_modules=['final_layernorm', '1.input_layernorm']), False),
    'full': ('gpt2', LoraConfig(modules_to_save=['transformer.h.1.mlp.c_proj', 'transformer.h.0.ln_1', 'transformer.wpe'], **NONE), True),
    'full_tied': ('gpt2', LoraConfig(modules_to_save=['transformer.wte', 'lm_head'], **NONE), True),
    'full_head': ('phi', LoraConfig(modules_to_save=['lm_head', 'model.layers.0.mlp.fc2', 'model.embed_tokens'], **NONE), True),
}


def spread(seed, *shape):
    """Values in [-1,1), multiples of 2^-15."""
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 + seed * 40503) % 2**32
    x ^= x >> np.uint64(15)
    x = x * np.uint64(2246822519) % 2**32
    x ^= x >> np.uint64(13)
    return (((x >> np.uint64(16)) & np.uint64(0xffff)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape)


def make_model(name):
    with open(os.path.join(HERE, '../../tests/models/golden/families.json')) as file:
        case = next(c for c in json.load(file) if c['name'] == name)
    config, kind = KINDS[name]
    config = config(**{k: v for k, v in case['config'].items() if k not in ('torch_dtype', 'dtype', 'architectures', 'model_type')})
    config._attn_implementation = 'eager'
    model, tensors = kind(config).eval(), {n: t for n, *t in case['tensors']}
    for n, p in model.named_parameters():
        shape, number, scale, offset = tensors[n]
        p.data = torch.from_numpy(spread(number, *shape) * np.float32(scale) + np.float32(offset))
    return model


def saved_name(name):
    return name.replace('.modules_to_save.default', '').replace('ln_tuning_layers.default', 'ln_tuning_layers').removesuffix('.default')


def trained_of(peft):
    return {n: p for n, p in peft.named_parameters() if p.requires_grad}


def record(peft, name, base, ids, out):
    """What PEFT computes with the adapter, into out, and its folder."""
    vocabulary = peft.config.vocab_size
    x = torch.from_numpy(spread(1, TOKENS, peft.config.hidden_size)).requires_grad_(True)
    given = dict(input_ids=torch.tensor([[(i * 37 + 5) % vocabulary for i in range(TOKENS)]])) if ids else dict(inputs_embeds=x[None])
    logits = peft(**given).logits[0]
    logits.backward(torch.from_numpy(spread(2, TOKENS, vocabulary)))
    out[f'{name}.logits'] = logits.detach().numpy()
    if not ids:
        out[f'{name}.grad_in'] = x.grad.numpy()
    for n, p in trained_of(peft).items():
        out[f'{name}.{saved_name(n)}.grad'] = p.grad.numpy()
    config = peft.peft_config['default']
    config.base_model_name_or_path, config.inference_mode = base, True
    peft.save_pretrained(os.path.join(OUT, name))
    os.remove(os.path.join(OUT, name, 'README.md'))


def make_case(name, number, out):
    base, config, ids = CASES[name]
    peft = get_peft_model(make_model(base), config).eval()
    for i, p in enumerate(trained_of(peft).values()):
        p.data += torch.from_numpy(spread(1000 * number + i, *p.shape)) * 0.3
    record(peft, name, base, ids, out)


def make(cases, make_case, file):
    torch.set_num_threads(1)
    out = {}
    for number, name in enumerate(cases):
        make_case(name, number, out)
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, file))


if __name__ == '__main__':
    make(CASES, make_case, 'trained_base.safetensors')
