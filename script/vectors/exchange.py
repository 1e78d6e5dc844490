#!/usr/bin/env python3
"""Makes adapters as Hugging Face PEFT writes them, with its users' odd targets and older versions' files, and what PEFT computes
with them on small models of tests/models/golden/families.json: logits, and gradients of all that trains. And what its
add_weighted_adapter makes of some of them.

usage: script/vectors/exchange.py [OUT]       (needs numpy, safetensors, torch, transformers, peft from PyPI)

exchange.json lists the cases: folder, base model, whether ids or embeddings go in. exchange.safetensors holds what was computed,
combined.safetensors the factors that were combined, of svd, whose signs are free, what they add to the weights.
"""
import json
import os
import shutil
import sys

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file, save_file

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/peft/golden')
FAMILIES = os.path.join(os.path.dirname(__file__), '../../tests/models/golden/families.json')
TOKENS = 7
# name: base, the LoRA's settings, and what is special: 'ids' go in, 'grad' is kept, 'old' and 'bin' as older versions wrote
CASES = {
    'regex': ('llama', dict(r=2, lora_alpha=3, target_modules=r'model\.layers\.1\..*(q|up)_proj'), 'grad'),
    'regex_group': ('llama', dict(r=2, lora_alpha=3, target_modules=r'.*\.(?P<n>\d+)\.(?:self_attn\.[vo]_proj|mlp\.(?!gate)\w+_proj)',
                                  exclude_modules=r'model\.layers\.0\.mlp.*'), ''),
    'all_linear': ('llama', dict(r=2, lora_alpha=5, use_rslora=True, target_modules='all-linear', exclude_modules=['down_proj', 'layers.1.self_attn.k_proj']), ''),
    'layers': ('llama', dict(r=3, lora_alpha=3, target_modules=['q_proj', 'v_proj'], layers_to_transform=[1], layers_pattern='layers'), ''),
    'layer': ('llama', dict(r=3, lora_alpha=3, target_modules=['q_proj', 'mlp.up_proj'], layers_to_transform=0), ''),
    'patterns': ('llama', dict(r=2, lora_alpha=6, target_modules=['q_proj', 'k_proj', 'v_proj', 'o_proj'],
                               rank_pattern={r'layers\.0\.self_attn\.(q|k)_proj': 4, 'v_proj': 1}, alpha_pattern={'o_proj': 3, 'layers.1.self_attn.v_proj': 10}), 'grad'),
    'norms': ('llama', dict(r=2, lora_alpha=3, target_modules=['q_proj'], modules_to_save=['input_layernorm', 'model.norm']), 'grad'),
    'head': ('phi', dict(r=2, lora_alpha=3, target_modules=['fc1'], modules_to_save=['lm_head']), 'grad'),
    'mlp': ('phi', dict(r=2, lora_alpha=3, target_modules=['dense', 'fc1'], modules_to_save=['layers.1.mlp']), 'grad'),
    'head_alone': ('phi_tied', dict(r=2, lora_alpha=3, target_modules=['v_proj'], modules_to_save=['lm_head']), 'ids grad'),
    'embedding': ('gpt2', dict(r=2, lora_alpha=3, target_modules=['c_attn'], fan_in_fan_out=True, modules_to_save=['wte', 'wpe', 'ln_f']), 'ids grad'),
    'biases': ('gpt2', dict(r=2, lora_alpha=3, target_modules=['c_attn', 'mlp.c_proj'], fan_in_fan_out=True, bias='all'), 'grad'),
    'own_biases': ('phi', dict(r=2, lora_alpha=3, target_modules=['q_proj', 'dense'], bias='lora_only'), 'grad'),
    'factor_bias': ('llama', dict(r=2, lora_alpha=3, target_modules=['q_proj', 'o_proj'], lora_bias=True), 'grad'),
    'first': ('llama', dict(r=4, lora_alpha=6, target_modules=['q_proj', 'v_proj']), ''),
    'second': ('llama', dict(r=4, lora_alpha=2, target_modules=['v_proj', 'up_proj']), ''),
    'third': ('llama', dict(r=2, lora_alpha=5, use_rslora=True, target_modules=['q_proj', 'up_proj'], rank_pattern={'up_proj': 3}), ''),
    'old': ('llama', dict(r=2, lora_alpha=3, target_modules=['q_proj', 'v_proj']), 'old'),
    'old_bin': ('gpt2', dict(r=2, lora_alpha=4, target_modules=['c_attn'], fan_in_fan_out=True, bias='lora_only'), 'old bin'),
    'conv1d': ('gpt2', dict(r=2, lora_alpha=3, target_modules=['mlp.c_proj'], fan_in_fan_out=True, modules_to_save=['attn.c_proj', 'h.1.attn.c_attn', 'mlp.c_fc']), 'grad'),
}
# name: adapters, their weights, how
COMBINATIONS = {
    'linear': (['first', 'second'], [0.7, -0.4], dict(combination_type='linear')),
    'cat': (['first', 'second', 'third'], [1.0, 0.5, -1.5], dict(combination_type='cat')),
    'svd': (['first', 'second', 'third'], [0.5, 1.0, -1.0], dict(combination_type='svd')),
    'svd_rank': (['second', 'third'], [1.0, 1.0], dict(combination_type='svd', svd_rank=2)),
}


def spread(seed, *shape):
    """Values in [-1,1), multiples of 2^-15."""
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 + seed * 40503) % 2**32
    x ^= x >> np.uint64(15)
    x = x * np.uint64(2246822519) % 2**32
    x ^= x >> np.uint64(13)
    return (((x >> np.uint64(16)) & np.uint64(0xffff)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape)


def make_base(case):
    settings = {k: v for k, v in case['config'].items() if k not in ('torch_dtype', 'dtype', 'architectures', 'model_type')}
    architecture = case['config']['architectures'][0]
    config = getattr(transformers, architecture).config_class(**settings)
    config._attn_implementation = 'eager'
    model = getattr(transformers, architecture)(config).eval()
    named = dict(model.named_parameters())
    for name, shape, number, scale, offset in case['tensors']:
        named[name].data = torch.from_numpy(spread(number, *shape) * np.float32(scale) + np.float32(offset))
    return model


def fill(peft, seed):
    """Random values in all that the adapter holds."""
    torch.manual_seed(seed)
    for name, p in peft.named_parameters():
        if 'lora_' in name:
            p.data = 0.4 * torch.randn(p.shape)
        elif p.requires_grad:
            p.data = p.data + 0.2 * torch.randn(p.shape)


def saved_name(name):
    return name.replace('modules_to_save.default.', '').replace('.default', '')


def compute(peft, special):
    vocabulary = peft.config.vocab_size
    if 'ids' in special:
        given = dict(input_ids=torch.tensor([[(i * 37 + 5) % vocabulary for i in range(TOKENS)]]))
    else:
        given = dict(inputs_embeds=torch.from_numpy(spread(1, TOKENS, peft.config.hidden_size))[None])
    logits = peft(**given).logits[0]
    logits.backward(torch.from_numpy(spread(2, TOKENS, vocabulary)))
    out = {'logits': logits.detach().numpy()}
    if 'grad' in special:
        out.update({saved_name(n) + '.grad': p.grad.numpy() for n, p in peft.named_parameters() if p.requires_grad})
    return out


def make_old(folder, special):
    """The few keys of the first versions, the adapter's name within those of tensors, and torch's file."""
    path, model = os.path.join(folder, 'adapter_config.json'), os.path.join(folder, 'adapter_model.safetensors')
    with open(path) as file:
        config = json.load(file)
    keep = ['base_model_name_or_path', 'bias', 'fan_in_fan_out', 'inference_mode', 'lora_alpha', 'lora_dropout', 'modules_to_save', 'peft_type', 'r',
            'target_modules', 'task_type']
    with open(path, 'w') as file:
        json.dump({**{k: config[k] for k in keep}, 'enable_lora': None, 'merge_weights': False}, file, indent=2)
    tensors = load_file(model)
    if 'bin' in special:
        os.remove(model)
        torch.save({n.replace('base_layer.', ''): torch.from_numpy(t) for n, t in tensors.items()}, os.path.join(folder, 'adapter_model.bin'))
    else:
        save_file({n.replace('.weight', '.default.weight'): t for n, t in tensors.items()}, model, metadata={'format': 'pt'})


def combine(folder, base, names, weights, how):
    """The factors of the combination; of svd what they add."""
    model = PeftModel.from_pretrained(base, os.path.join(folder, names[0]), adapter_name=names[0])
    for name in names[1:]:
        model.load_adapter(os.path.join(folder, name), adapter_name=name)
    model.add_weighted_adapter(names, weights, 'new', **how)
    out = {}
    for name, module in model.base_model.model.named_modules():
        if 'new' in getattr(module, 'lora_A', {}):
            if how['combination_type'] == 'svd':
                scale = module.scaling['new']  # of rank-stabilised ones PEFT forgets that the new scale is not 1
                out[f'{name}.delta'] = module.get_delta_weight('new') / scale
            else:
                out.update({f'{name}.lora_{which}.weight': getattr(module, f'lora_{which}')['new'].weight for which in 'AB'})
    return {n: t.detach().numpy() for n, t in out.items()}


def main():
    torch.set_num_threads(1)
    with open(FAMILIES) as file:
        families = {case['name']: case for case in json.load(file)}
    folder = os.path.join(OUT, 'exchange')
    shutil.rmtree(folder, ignore_errors=True)
    index, computed = [], {}
    for number, (name, (base, settings, special)) in enumerate(CASES.items()):
        model = make_base(families[base])
        peft = get_peft_model(model, LoraConfig(task_type='CAUSAL_LM', lora_dropout=0.0, **settings)).eval()
        fill(peft, number)
        computed.update({f'{name}.{key}': np.ascontiguousarray(t) for key, t in compute(peft, special).items()})
        peft.peft_config['default'].base_model_name_or_path = base
        peft.save_pretrained(os.path.join(folder, name), save_embedding_layers=False)
        os.remove(os.path.join(folder, name, 'README.md'))
        if 'old' in special:
            make_old(os.path.join(folder, name), special)
        index.append(dict(name=name, base=base, ids='ids' in special))
    with open(os.path.join(OUT, 'exchange.json'), 'w') as file:
        file.write('[\n' + ',\n'.join(json.dumps(case) for case in index) + '\n]\n')
    save_file(computed, os.path.join(OUT, 'exchange.safetensors'))
    combined = {}
    for name, (names, weights, how) in COMBINATIONS.items():
        made = combine(folder, make_base(families['llama']), names, weights, how)
        combined.update({f'{name}.{key}': np.ascontiguousarray(t) for key, t in made.items()})
    save_file(combined, os.path.join(OUT, 'combined.safetensors'))


main()
