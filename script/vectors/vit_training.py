#!/usr/bin/env python3
"""Makes what PEFT, transformers and torch compute, in f32, where a vision encoder learns: LoRA and VeRA on the small CLIP of vit.py.

usage: script/vectors/vit_training.py OUT       (OUT is tests/models/golden, with what vit.py and language.py made)

OUT/vit_clip_adapter/ is the adapter as PEFT saves it; OUT/vit_clip_vera/ and vit_clip_vera_seed/ are of VeRA, the latter without its
projections. OUT/vit_training.safetensors has
- encoder.*: the encoder alone, of the picture of vit.py at 28 pixels: features (the last hidden state), the gradients of pixels
  and factors where that of the features is vit.py's formula; error.*: how far autocast to bf16 is from each; vera.* and vera_seed.*:
  as encoder.*, with the adapters of VeRA;
- system.*: two pictures of 42 pixels through the encoder, of which hidden states 1 and 2 make the features, an aligner that joins
  2 x 2 neighbours and the language model with its own adapter to the mean loss over the answers of three rows (`rows`, here and in
  tests/models/test_tower.c), with the gradients of all that learns.
"""
import json
import os
import sys

import numpy as np
import torch
from peft import LoraConfig, PeftModel, VeraConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.numpy import save_file
from safetensors.torch import load_file
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaForCausalLM

OUT = sys.argv[1]
HIDDEN, CHANNELS, GRID, MERGE = 32, 48, 6, 2
VISUAL = (GRID // MERGE)**2


def formula(count):
    i = np.arange(count, dtype=np.float64)
    return torch.from_numpy((np.sin(.37 * i) + .5 * np.cos(.0113 * i * (i % 7 + 1))).astype(np.float32))


def pixels(size):
    c, y, x = np.meshgrid(np.arange(3), np.arange(size), np.arange(size), indexing='ij')
    values = 1.5 * np.sin(0.05 * (c + 1) * x + 0.11 * y) + np.cos(0.0023 * x * y / (c + 1))
    return torch.from_numpy(values.astype(np.float32))[None]


def spread(seed, *shape):
    """Values in [-1,1), multiples of 2^-15, as in language.py."""
    x = (np.arange(np.prod(shape), dtype=np.uint64) * 2654435761 + seed * 40503) % 2**32
    x ^= x >> np.uint64(15)
    x = x * np.uint64(2246822519) % 2**32
    x ^= x >> np.uint64(13)
    return torch.from_numpy(
        (((x >> np.uint64(16)) & np.uint64(0xffff)).astype(np.float32) / np.float32(32768) - np.float32(1)).reshape(shape))


def make_clip():
    folder = os.path.join(OUT, 'vit_clip')
    with open(os.path.join(folder, 'config.json')) as file:
        config = json.load(file)['vision_config']
    model = CLIPVisionModel(CLIPVisionConfig(**{k: v for k, v in config.items() if k != 'model_type'}))
    begin = 'vision_model.'
    weights = load_file(os.path.join(folder, 'model.safetensors'))
    state = {n[len(begin):]: t.float() for n, t in weights.items() if n.startswith(begin)}
    model.load_state_dict(state)
    return model.eval()


def make_vera(**config):
    peft = get_peft_model(make_clip(), VeraConfig(target_modules=['q_proj', 'v_proj', 'fc1', 'fc2'], **config))
    torch.manual_seed(5)
    for p in peft.parameters():
        if p.requires_grad:
            p.data = torch.randn(p.shape) + 0.1
    if config.get('save_projection', True):  # others than any seed's
        for i, which in enumerate(('vera_A', 'vera_B')):
            projection = getattr(peft.base_model, which)['default']
            projection.copy_(spread(600 + i, *projection.shape))
    return peft


def make_encoder():
    """The small CLIP with factors that matter everywhere."""
    peft = get_peft_model(make_clip(), LoraConfig(r=4, lora_alpha=6, target_modules=['q_proj', 'k_proj', 'v_proj', 'fc1']))
    torch.manual_seed(3)
    for name, p in peft.named_parameters():
        if 'lora_' in name:
            p.data = torch.randn(p.shape) * (0.3 if 'lora_B' in name else 1 / p.shape[1]**0.5)
    return peft


def states(encoder, x):
    return encoder(x, output_hidden_states=True, interpolate_pos_encoding=True).hidden_states


def gradients(peft, prefix):
    return {f'{prefix}{n.replace(".default", "")}.grad': p.grad.numpy() for n, p in peft.named_parameters() if p.requires_grad}


def run_encoder(encoder, bf16):
    x = pixels(28).requires_grad_()
    encoder.zero_grad()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=bf16):
        features = states(encoder, x)[-1][0].float()
    features.backward(formula(features.numel()).reshape(features.shape))
    made = {'features': features.detach().numpy(), 'grad_in': x.grad[0].numpy(), **gradients(encoder, '')}
    return {n: t.copy() for n, t in made.items()}


def encoder_alone(encoder):
    exact, rounded = run_encoder(encoder, False), run_encoder(encoder, True)
    out = {'encoder.' + n: t for n, t in exact.items()}
    out.update({'error.' + n: np.array([np.linalg.norm(rounded[n] - t)], np.float32) for n, t in exact.items()})
    return out


def rows():
    """(image, ids, where the answer begins); image tokens are -1, -2, ..."""
    for row in range(3):
        prompt = [10, 11] + [-1 - i for i in range(VISUAL)] + [12, 13] + [(37 * row + 5 * i + 15) % 300 for i in range(4)]
        yield row // 2, prompt + [(53 * row + 7 * i + 20) % 300 for i in range(3)], len(prompt)


def system(encoder):
    width = CHANNELS * MERGE * MERGE
    model = LlamaForCausalLM.from_pretrained(os.path.join(OUT, 'llama'), dtype=torch.float32, attn_implementation='eager').eval()
    peft = PeftModel.from_pretrained(model, os.path.join(OUT, 'llama/adapter'), is_trainable=True).eval()
    weight, bias = (spread(21, HIDDEN, width) * 0.1).requires_grad_(), (spread(22, HIDDEN) * 0.1).requires_grad_()
    mean, std = spread(23, width) * 0.125, spread(24, width) * 0.25 + 0.5
    encoder.zero_grad()
    visual = []
    for x in (pixels(42), 0.5 - 2 * pixels(42)):
        hidden = states(encoder, x)
        features = torch.cat([hidden[1][0, 1:], hidden[2][0, 1:]], -1)
        side = GRID // MERGE
        joined = features.reshape(side, MERGE, side, MERGE, CHANNELS).transpose(1, 2).reshape(VISUAL, width)
        visual.append((joined - mean) / std @ weight.T + bias)
    table = peft.get_input_embeddings().weight.detach()
    total, losses = 0, []
    for image, ids, begin in rows():
        embeds = torch.stack([table[i] if i >= 0 else visual[image][-1 - i] for i in ids[:-1]])
        logits = peft(inputs_embeds=embeds[None]).logits[0, begin - 1:]
        losses.append(torch.nn.functional.cross_entropy(logits, torch.tensor(ids[begin:]), reduction='sum'))
        total += len(ids) - begin
    loss = sum(losses) / total
    loss.backward()
    return {'system.loss': np.array([loss.item()], np.float32), 'system.proj.weight.grad': weight.grad.numpy(),
            'system.proj.bias.grad': bias.grad.numpy(), **gradients(encoder, 'system.'), **gradients(peft, 'system.')}


def save(peft, name):
    folder = os.path.join(OUT, name)
    os.makedirs(folder, exist_ok=True)
    save_file({n: t.numpy() for n, t in get_peft_model_state_dict(peft).items()}, os.path.join(folder, 'adapter_model.safetensors'))
    config = peft.peft_config['default']
    config.base_model_name_or_path, config.inference_mode = 'vit_clip', True
    config.save_pretrained(folder)


def main():
    torch.set_num_threads(1)
    encoder = make_encoder()
    save(encoder, 'vit_clip_adapter')
    out = {**encoder_alone(encoder), **system(encoder)}
    for name, settings in (('vera', dict(r=5)), ('vera_seed', dict(r=3, d_initial=0.5, projection_prng_key=7, save_projection=False))):
        peft = make_vera(**settings)
        save(peft, 'vit_clip_' + name)
        out.update({f'{name}.{n}': t for n, t in run_encoder(peft, False).items()})
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, 'vit_training.safetensors'))


main()
