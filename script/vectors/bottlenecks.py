#!/usr/bin/env python3
"""Makes serial and parallel bottleneck adapters with random values on models of tests/models/golden/families.json, in torch by
hooks on transformers' own modules, and what they compute: logits, the gradient of every tensor and of the input.

usage: script/vectors/bottlenecks.py [OUT]       (needs what trained_base.py needs)

OUT (tests/peft/golden) gets a folder a case with the tensors, and bottlenecks.safetensors.
"""
import json
import os
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional

from trained_base import HERE, TOKENS, make_model, spread

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, '../../tests/peft/golden')
# name: model, blocks, names of attention and MLP (None: left alone), whether they stand behind, scale, activation
CASES = {
    'serial': ('llama', 'model.layers', ['self_attn', 'mlp'], True, 1.5, functional.silu),
    'parallel': ('phi', 'model.layers', ['self_attn', 'mlp'], False, 4.0, functional.relu),
    'parallel_mlp': ('gpt2', 'transformer.h', ['mlp'], False, 1.0, functional.gelu),
    'serial_attention': ('gpt2', 'transformer.h', ['attn'], True, 1.0, functional.relu),
}
BOTTLENECK = 5


def add_adapters(model, name, number):
    _, blocks, places, serial, scale, f = CASES[name]
    tensors, modules = {}, dict(model.named_modules())
    for layer in range(model.config.num_hidden_layers):
        for place in places:
            module = f'{blocks}.{layer}.{place}'
            width, own = model.config.hidden_size, {}
            for i, (part, shape) in enumerate((('down.weight', (BOTTLENECK, width)), ('down.bias', (BOTTLENECK, )), ('up.weight', (width, BOTTLENECK)),
                                               ('up.bias', (width, )))):
                values = spread(5000 + 100 * number + len(tensors) + i, *shape) * np.float32(0.4)
                own[part] = torch.from_numpy(values).requires_grad_(True)
            tensors.update({f'base_model.model.{module}.adapter_{part}': t for part, t in own.items()})

            def hook(_, args, kwargs, output, own=own):
                y = output[0] if isinstance(output, tuple) else output
                x = y if serial else args[0] if args else kwargs['hidden_states']
                inner = f(functional.linear(x, own['down.weight'], own['down.bias']))
                y = y + scale * functional.linear(inner, own['up.weight']) + own['up.bias']
                return (y, *output[1:]) if isinstance(output, tuple) else y

            modules[module].register_forward_hook(hook, with_kwargs=True)
    return tensors


def make_case(name, number, out):
    model = make_model(CASES[name][0])
    tensors = add_adapters(model, name, number)
    x = torch.from_numpy(spread(1, TOKENS, model.config.hidden_size)).requires_grad_(True)
    logits = model(inputs_embeds=x[None]).logits[0]
    logits.backward(torch.from_numpy(spread(2, TOKENS, model.config.vocab_size)))
    out[f'{name}.logits'], out[f'{name}.grad_in'] = logits.detach().numpy(), x.grad.numpy()
    out.update({f'{name}.{n}.grad': t.grad.numpy() for n, t in tensors.items()})
    os.makedirs(os.path.join(OUT, name), exist_ok=True)
    save_file({n: t.detach().numpy() for n, t in tensors.items()}, os.path.join(OUT, name, 'adapter_model.safetensors'))
    _, _, places, serial, scale, f = CASES[name]
    config = dict(peft_type='SERIAL_ADAPTER' if serial else 'PARALLEL_ADAPTER', bottleneck=BOTTLENECK, adapter_scale=scale, dropout=0.05,
                  activation=f.__name__, sublayers='both' if len(places) > 1 else 'mlp' if 'mlp' in places else 'attention')
    with open(os.path.join(OUT, name, 'adapter_config.json'), 'w') as file:
        json.dump(config, file, indent=2)
        file.write('\n')


def main():
    torch.set_num_threads(1)
    out = {}
    for number, name in enumerate(CASES):
        make_case(name, number, out)
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, 'bottlenecks.safetensors'))


if __name__ == '__main__':
    main()
