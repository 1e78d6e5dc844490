#!/usr/bin/env python3
"""Makes a grid of small random language models of every family in tests/models/golden and what transformers computes with them:
logits and the gradient of the embeddings, and 64 greedy tokens.

usage: script/vectors/language_families.py [OUT]       (needs numpy, safetensors, torch, transformers, peft, gguf from PyPI)

Weights are not stored: `spread` makes them from integers, here and in tests/models/tiny.c, to the same bits; families.json says
which number, scale and offset each tensor has, what config.json holds, and names and metadata of the same model as a GGUF, from
the package gguf. families.safetensors holds what was computed, families_gpt2.bin one model as torch.save writes it.
"""
import json
import math
import os
import sys

import gguf
import numpy as np
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.numpy import save_file
from transformers.models.llama.modeling_llama import LlamaRMSNorm

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/models/golden')
NEW_TOKENS, TOKENS, PROMPT = 64, 7, 9
BASE = dict(vocab_size=61, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=96)
WIDE = {**BASE, 'hidden_size': 32}
GPT2 = dict(vocab_size=61, n_positions=75, n_embd=16, n_layer=2, n_head=4, n_inner=20)


def rope(kind, theta=1000.0, **more):
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=theta, **more))


LLAMA3 = rope('llama3', 500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
# name: family, settings, and what is special: 'old' writes config.json as transformers 4 did, 'fused' is Phi's form before 4.37,
# 'tinygptv' TinyGPT-V's, 'qkv' joins queries, keys and values in the GGUF
CASES = {
    'llama': ('Llama', dict(BASE, num_key_value_heads=2), ''),
    'llama_tied': ('Llama', dict(BASE, num_key_value_heads=1, head_dim=10, tie_word_embeddings=True), 'old'),
    'llama_biases': ('Llama', dict(BASE, attention_bias=True, mlp_bias=True, hidden_act='gelu'), ''),
    'llama_attention_bias': ('Llama', dict(BASE, num_key_value_heads=2, attention_bias=True), 'old'),
    'llama_llama3': ('Llama', dict(BASE, **LLAMA3), ''),
    'llama_llama3_old': ('Llama', dict(WIDE, num_key_value_heads=2, tie_word_embeddings=True, **LLAMA3), 'old'),
    'llama_linear': ('Llama', dict(BASE, **rope('linear', factor=3.0)), 'old'),
    'llama_dynamic': ('Llama', dict(BASE, **rope('dynamic', factor=3.0)), ''),
    'llama_odd': ('Llama', dict(BASE, vocab_size=53, hidden_size=21, intermediate_size=37, num_attention_heads=3, head_dim=14, num_hidden_layers=1), ''),
    'mistral': ('Mistral', dict(BASE, num_key_value_heads=2, head_dim=8, sliding_window=90), ''),
    'mistral_whole': ('Mistral', dict(BASE, num_key_value_heads=1, sliding_window=None), 'old'),
    'qwen2': ('Qwen2', dict(BASE, num_key_value_heads=2), ''),
    'qwen2_tied': ('Qwen2', dict(BASE, num_key_value_heads=4, tie_word_embeddings=True, use_sliding_window=True, sliding_window=90,
                                 max_window_layers=1), 'old'),
    'phi': ('Phi', dict(WIDE), ''),
    'phi_norms': ('Phi', dict(BASE, hidden_size=40, qk_layernorm=True, num_key_value_heads=2, **rope('default', partial_rotary_factor=0.4)), 'old'),
    'phi_tied': ('Phi', dict(WIDE, tie_word_embeddings=True), 'qkv'),
    'phi_fused': ('Phi', dict(WIDE, hidden_act='gelu'), 'old fused'),
    'tinygptv': ('Phi', dict(BASE, hidden_size=40, **rope('default', partial_rotary_factor=0.4)), 'old fused tinygptv'),
    'gpt2': ('GPT2', dict(GPT2), ''),
    'gpt2_untied': ('GPT2', dict(GPT2, n_embd=21, n_head=3, n_inner=35, tie_word_embeddings=False, activation_function='relu'), ''),
    'stablelm': ('StableLm', dict(WIDE, num_key_value_heads=2), ''),
    'stablelm_parallel': ('StableLm', dict(WIDE, num_key_value_heads=4, use_qkv_bias=True, use_parallel_residual=True, tie_word_embeddings=True), 'old'),
}
HEADS = {'GPT2': 'GPT2LMHeadModel'}
ARCHITECTURES = {'Llama': 'LLAMA', 'Mistral': 'LLAMA', 'Qwen2': 'QWEN2', 'Phi': 'PHI2', 'GPT2': 'GPT2', 'StableLm': 'STABLELM'}


def spread(seed, *shape):
    """Values in [-1,1), multiples of 2^-15."""
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 + seed * 40503) % 2**32
    x ^= x >> np.uint64(15)
    x = x * np.uint64(2246822519) % 2**32
    x ^= x >> np.uint64(13)
    return (((x >> np.uint64(16)) & np.uint64(0xffff)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape)


class Part(torch.nn.Module):
    """Queries, keys or values of one linear layer that makes all three head by head."""

    def __init__(self, fused, heads, i):
        super().__init__()
        self.fused, self.heads, self.i = [fused], heads, i

    def forward(self, x):
        return self.fused[0](x).view(*x.shape[:-1], self.heads, 3, -1)[..., self.i, :].flatten(-2)


class Normed(torch.nn.Module):
    def __init__(self, dense, norm):
        super().__init__()
        self.dense, self.norm = dense, norm

    def forward(self, x):
        return self.norm(self.dense(x))


def rebuild_phi(model, branch_norm):
    """Phi with query_key_value, and with TinyGPT-V's RMSNorm behind attention; the parameters by their names."""
    config, named = model.config, dict(model.named_parameters())
    for i, layer in enumerate(model.model.layers):
        at, attention = f'model.layers.{i}.', layer.self_attn
        fused = torch.nn.Linear(config.hidden_size, 3 * config.hidden_size)
        for part, projection in enumerate(('q_proj', 'k_proj', 'v_proj')):
            setattr(attention, projection, Part(fused, config.num_attention_heads, part))
            del named[f'{at}self_attn.{projection}.weight'], named[f'{at}self_attn.{projection}.bias']
        named[at + 'self_attn.query_key_value.weight'], named[at + 'self_attn.query_key_value.bias'] = fused.weight, fused.bias
        if branch_norm:
            norm = LlamaRMSNorm(config.hidden_size)
            named[at + 'post_layernorm.weight'] = norm.weight
            attention.dense = Normed(attention.dense, norm)
    return named


def scale_of(name, shape):
    """(scale, offset): powers of two, so that both sides make the same bits."""
    if len(shape) == 1:
        return (0.25, 1.0) if name.endswith('.weight') else (0.25, 0.0)
    if 'embed' in name or 'wte' in name or 'lm_head' in name:
        return 1.0, 0.0
    return (0.25, 0.0) if 'wpe' in name else (2.0**round(math.log2(3 / math.sqrt(max(shape[0], shape[1])))), 0.0)


def old_config(config):
    """As transformers 4 writes it."""
    rope_parameters = config.pop('rope_parameters')
    config['rope_theta'] = rope_parameters.pop('rope_theta')
    if 'partial_rotary_factor' in rope_parameters:
        config['partial_rotary_factor'] = rope_parameters.pop('partial_rotary_factor')
    config['rope_scaling'] = rope_parameters if rope_parameters['rope_type'] != 'default' else None
    config['torch_dtype'] = config.pop('dtype')
    return config


def make_config(family, settings, special):
    kind = getattr(transformers, family + 'Config')
    config = kind(**settings, dtype='float32').to_dict()
    config['architectures'] = [HEADS.get(family, family + 'ForCausalLM')]
    for key in ('transformers_version', 'id2label', 'label2id', 'chunk_size_feed_forward', 'is_encoder_decoder', 'output_attentions',
                'output_hidden_states', 'problem_type', 'return_dict', '_name_or_path', 'initializer_range'):
        config.pop(key, None)
    if 'old' in special:
        config = old_config(config)
    read = {k: v for k, v in config.items() if k not in ('torch_dtype', 'dtype', 'architectures', 'model_type')}
    settings = kind(**json.loads(json.dumps(read)))  # what transformers makes of that file
    if 'tinygptv' in special:
        settings.qk_layernorm = True  # its code has the norms whatever config.json says
    return config, settings


def make_case(family, settings, special, seed):
    config, read = make_config(family, settings, special)
    read._attn_implementation = 'eager'
    model = getattr(transformers, HEADS.get(family, family + 'ForCausalLM'))(read).eval()
    named = rebuild_phi(model, 'tinygptv' in special) if 'fused' in special else dict(model.named_parameters())
    tensors = []
    for i, (name, p) in enumerate(sorted(named.items())):
        scale, offset = scale_of(name, p.shape)
        p.data = torch.from_numpy(spread(100 * seed + i, *p.shape) * np.float32(scale) + np.float32(offset))
        tensors.append([name, list(p.shape), 100 * seed + i, scale, offset])
    return model, config, tensors


def golden(model):
    vocabulary = model.config.vocab_size
    ids = [(i * 37 + 5) % vocabulary for i in range(PROMPT)]
    embeds = torch.from_numpy(spread(1, TOKENS, model.config.hidden_size)).requires_grad_(True)
    logits = model(inputs_embeds=embeds[None]).logits[0]
    logits.backward(torch.from_numpy(spread(2, TOKENS, vocabulary)))
    out, margin = {'logits': logits.detach().numpy(), 'grad_in': embeds.grad.numpy()}, math.inf
    with torch.no_grad():
        out['ids_logits'] = model(input_ids=torch.tensor(ids)[None]).logits[0, -1].numpy()
        for _ in range(NEW_TOKENS):
            last = model(input_ids=torch.tensor(ids)[None]).logits[0, -1]
            top = last.topk(2)
            margin = min(margin, (top.values[0] - top.values[1]).item())
            ids.append(top.indices[0].item())
    out['tokens'] = np.array(ids, np.int32)
    return out, margin


def as_gguf(family, special, config, tensors):
    """Architecture, metadata and tensors [name, our names joined row by row, how]; None where llama.cpp has no such model."""
    activation = config.get('hidden_act') or config.get('activation_function')
    if 'fused' in special or config.get('qk_layernorm') or activation not in ('silu', 'gelu_new'):
        return None
    arch = getattr(gguf.MODEL_ARCH, ARCHITECTURES[family])
    read = getattr(transformers, family + 'Config')(**{k: v for k, v in config.items() if k not in ('torch_dtype', 'dtype', 'architectures', 'model_type')})
    head_dim = getattr(read, 'head_dim', None) or read.hidden_size // read.num_attention_heads
    prefix, keys = gguf.MODEL_ARCH_NAMES[arch], gguf.Keys
    inner = getattr(read, 'intermediate_size', None) or read.n_inner or 4 * read.hidden_size
    meta = {keys.LLM.VOCAB_SIZE: read.vocab_size, keys.LLM.BLOCK_COUNT: read.num_hidden_layers, keys.LLM.EMBEDDING_LENGTH: read.hidden_size, keys.LLM.FEED_FORWARD_LENGTH: inner,
            keys.LLM.CONTEXT_LENGTH: read.max_position_embeddings, keys.Attention.HEAD_COUNT: read.num_attention_heads}
    for key, names in ((keys.Attention.LAYERNORM_RMS_EPS, ['rms_norm_eps']), (keys.Attention.LAYERNORM_EPS, ['layer_norm_eps', 'layer_norm_epsilon'])):
        meta.update({key: float(getattr(read, n)) for n in names if hasattr(read, n)})
    parameters = getattr(read, 'rope_parameters', None)
    if parameters:
        rotary = int(head_dim * parameters.get('partial_rotary_factor', 1.0))
        meta.update({keys.Attention.HEAD_COUNT_KV: read.num_key_value_heads, keys.Attention.KEY_LENGTH: head_dim, keys.Rope.DIMENSION_COUNT: rotary,
                     keys.Rope.FREQ_BASE: float(parameters['rope_theta'])})
        if parameters['rope_type'] == 'linear':
            meta.update({keys.Rope.SCALING_TYPE: 'linear', keys.Rope.SCALING_FACTOR: float(parameters['factor'])})
    names, list_, factors = gguf.get_tensor_name_map(arch, read.num_hidden_layers), [], None
    for name, shape, *_ in tensors:
        how = 'same'
        if family in ('Llama', 'Mistral') and ('q_proj' in name or 'k_proj' in name):
            how = f'pairs of {head_dim}'
        elif family == 'GPT2' and '.c_' in name and name.endswith('weight'):
            how = 'transposed'
        list_.append([names.get_name(name, try_suffixes=('.weight', '.bias')), [name], how])
    if 'qkv' in special:
        for i in range(read.num_hidden_layers):
            for end in ('weight', 'bias'):
                list_ = [t for t in list_ if t[0] not in [f'blk.{i}.attn_{p}.{end}' for p in 'qkv']]
                list_.append([f'blk.{i}.attn_qkv.{end}', [f'model.layers.{i}.self_attn.{p}_proj.{end}' for p in 'qkv'], 'same'])
    if parameters and parameters['rope_type'] == 'llama3':
        factors = llama3_factors(parameters, head_dim)
    return dict(architecture=prefix, meta={k.format(arch=prefix): v for k, v in meta.items()}, tensors=list_, rope_freqs=factors)


def llama3_factors(p, head_dim):
    """What llama.cpp's converter writes into rope_freqs.weight."""
    low, high, out = p['original_max_position_embeddings'] / p['low_freq_factor'], p['original_max_position_embeddings'] / p['high_freq_factor'], []
    for i in range(0, head_dim, 2):
        length = 2 * math.pi * p['rope_theta']**(i / head_dim)
        smooth = (p['original_max_position_embeddings'] / length - p['low_freq_factor']) / (p['high_freq_factor'] - p['low_freq_factor'])
        out.append(1.0 if length < high else p['factor'] if length > low else 1 / ((1 - smooth) / p['factor'] + smooth))
    return out


def add_adapter(model, out):
    """LoRA on Conv1D layers, as PEFT computes and names it."""
    torch.manual_seed(3)
    peft = get_peft_model(model, LoraConfig(task_type='CAUSAL_LM', r=2, lora_alpha=3, lora_dropout=0.0, target_modules=['c_attn', 'mlp.c_proj'],
                                            fan_in_fan_out=True)).eval()
    for name, p in peft.named_parameters():
        if 'lora_' in name:
            p.data = 0.3 * torch.randn(p.shape)
    logits = peft(inputs_embeds=torch.from_numpy(spread(1, TOKENS, model.config.hidden_size))[None]).logits[0]
    logits.backward(torch.from_numpy(spread(2, TOKENS, model.config.vocab_size)))
    out['adapter.logits'] = logits.detach().numpy()
    out.update({'adapter.' + n.replace('.default', '') + '.grad': p.grad.numpy() for n, p in peft.named_parameters() if p.requires_grad})
    folder = os.path.join(OUT, 'families_adapter')
    os.makedirs(folder, exist_ok=True)
    save_file({n: t.numpy() for n, t in get_peft_model_state_dict(peft).items()}, os.path.join(folder, 'adapter_model.safetensors'))
    peft.peft_config['default'].base_model_name_or_path = 'gpt2'
    peft.peft_config['default'].inference_mode = True
    peft.peft_config['default'].save_pretrained(folder)


def save_bin(model):
    """As the files of before safetensors: the tied head is in it, and the masks."""
    state = {n: t.detach().clone() for n, t in model.state_dict().items()}
    for i in range(model.config.num_hidden_layers):
        mask = torch.ones(8, 8, dtype=torch.bool).tril()[None, None]
        state[f'transformer.h.{i}.attn.bias'], state[f'transformer.h.{i}.attn.masked_bias'] = mask, torch.tensor(-1e4)
    torch.save(state, os.path.join(OUT, 'families_gpt2.bin'))


def main():
    torch.set_num_threads(1)
    document, computed = [], {}
    for number, (name, (family, settings, special)) in enumerate(CASES.items()):
        for seed in range(number * 1000 + 1, number * 1000 + 1000):  # the first whose choices are clear and various
            model, config, tensors = make_case(family, settings, special, seed)
            out, margin = golden(model)
            if margin > 2e-3 and len(set(out['tokens'][PROMPT:].tolist())) >= 6:
                break
        else:
            raise SystemExit(f'{name}: no seed will do')
        print(f'{name}: seed {seed}, margin {margin:.2g}, {len(set(out["tokens"][PROMPT:].tolist()))} different tokens')
        document.append(dict(name=name, config=config, tensors=tensors, gguf=as_gguf(family, special, config, tensors)))
        if name == 'gpt2':
            save_bin(model)
            add_adapter(model, out)
        computed.update({f'{name}.{key}': np.ascontiguousarray(t) for key, t in out.items()})
    with open(os.path.join(OUT, 'families.json'), 'w') as file:
        file.write('[\n' + ',\n'.join(json.dumps(case, separators=(',', ':')) for case in document) + '\n]\n')
    save_file(computed, os.path.join(OUT, 'families.safetensors'))


if __name__ == '__main__':
    main()
