#!/usr/bin/env python3
"""Makes VeRA adapters with random values on two models of tests/models/golden/families.json, and what PEFT computes with them:
logits, the gradient of every tensor that trains and of the input.

usage: script/vectors/vera.py [OUT]       (needs numpy, safetensors, torch, transformers, peft from PyPI)

OUT (tests/peft/golden) gets a folder a case, as save_pretrained writes it, and vera.safetensors, in which the projections stand
too that PEFT drew for the case that does not save them. Torch draws them with other last bits where its kernels are those of a
processor without fused multiplication.
"""
import torch
from peft import VeraConfig, get_peft_model
from trained_base import make, make_model, record, spread, trained_of

ALL = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']
# name: model, what PEFT makes of it
CASES = {
    'vera': ('llama', VeraConfig(task_type='CAUSAL_LM', r=5, target_modules=ALL)),
    'vera_seed': ('gpt2', VeraConfig(task_type='CAUSAL_LM', r=3, target_modules=['c_attn', 'mlp.c_proj'], projection_prng_key=7, save_projection=False,
                                     fan_in_fan_out=True, d_initial=0.5, layers_to_transform=[1], layers_pattern=['h'])),
}


def make_case(name, number, out):
    base, config = CASES[name]
    peft = get_peft_model(make_model(base), config).eval()
    trained = trained_of(peft)
    assert all('vera_lambda' in n for n in trained)
    for i, p in enumerate(trained.values()):
        p.data = torch.from_numpy(spread(1000 * number + i, *p.shape)) + 0.1
    for i, (which, projection) in enumerate((w, getattr(peft.base_model, w)['default']) for w in ('vera_A', 'vera_B')):
        if config.save_projection:  # others than any seed's
            projection.copy_(torch.from_numpy(spread(500 + i, *projection.shape)))
        else:
            out[f'{name}.{which}'] = projection.numpy()
    record(peft, name, base, False, out)


if __name__ == '__main__':
    make(CASES, make_case, 'vera.safetensors')
