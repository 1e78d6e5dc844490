#!/usr/bin/env python3
"""Remakes the golden vectors of the vision transformers: what transformers, open_clip and timm compute in f32 with torch.

Needs: pip install torch transformers safetensors numpy timm open_clip_torch
Usage: vit.py OUT   (OUT is tests/models/golden)
Each network is two blocks (timm and EVA one) with random weights, kept in bf16 and computed with in f32: OUT/NAME.safetensors and the
JSON files beside it that its family brings, in OUT/vit_NAME/. vit.txt has a line a result: NETWORK IMAGE_SIZE LAYER TOKENS
CHANNELS NORM and eight projections of the features [TOKENS, CHANNELS], the class token first where there is one, registers left
out: projection k = sum of feature[i] * cos(0.7 * (k + 1) * i + k). A layer is transformers' hidden_states, `output` the last
hidden state; `grad` stands for the gradient of the pixels from that of the output, which is the pixels' formula read off as
[TOKENS, CHANNELS]. Pixels are the formula of vision.py. positions.txt has old grid, new grid, antialias and the resized
positions of one channel, old ones being sin(i).
"""
import json
import os
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
import transformers as hf

WIDTH, HEADS, MLP, PATCH = 24, 3, 40, 7


def formula(count, offset=0):
    i = np.arange(count, dtype=np.float64) + offset
    return torch.from_numpy((np.sin(.37 * i) + .5 * np.cos(.0113 * i * (i % 7 + 1))).astype(np.float32))


def pixels(size):
    """[1, 3, size, size] f32, computed in double."""
    c, y, x = np.meshgrid(np.arange(3), np.arange(size), np.arange(size), indexing='ij')
    values = 1.5 * np.sin(0.05 * (c + 1) * x + 0.11 * y) + np.cos(0.0023 * x * y / (c + 1))
    return torch.from_numpy(values.astype(np.float32))[None]


def randomise(net, seed):
    """Weights that matter everywhere: biases, norms, scales and positions too, each representable in bf16."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            wide = p.dim() > 1 and min(p.shape) > 1 and 'pos' not in name
            value = torch.randn_like(p) * (1.5 / p[0].numel() ** .5 if wide else .5)
            if p.dim() == 1 and ('norm' in name or 'ln_' in name or 'lambda' in name or 'gamma' in name) and 'bias' not in name:
                value += 1
            p.copy_(value.to(torch.bfloat16).float())
    return net.float().eval()


def project(features):
    flat = features.detach().double().numpy().ravel()
    i = np.arange(flat.size, dtype=np.float64)
    numbers = [np.sqrt((flat ** 2).sum())] + [(flat * np.cos(.7 * (k + 1) * i + k)).sum() for k in range(8)]
    return ' '.join(f'{v:.9e}' for v in numbers)


class Writer:
    def __init__(self, out):
        self.out, self.lines = out, []

    def network(self, name, tensors, files, hidden, sizes, registers=0):
        """hidden(x) gives the list of hidden states and the output, [1, tokens, channels] each."""
        folder = os.path.join(self.out, f'vit_{name}')
        os.makedirs(folder, exist_ok=True)
        save_file({k: v.to(torch.bfloat16).contiguous() for k, v in tensors.items()}, os.path.join(folder, 'model.safetensors'))
        for file, content in files.items():
            with open(os.path.join(folder, file), 'w') as f:
                json.dump(content, f, indent=1, sort_keys=True)
        for size in sizes:
            x = pixels(size).requires_grad_()
            states, output = hidden(x)
            for label, features in [*enumerate(states), ('output', output)]:
                kept = torch.cat([features[0, :1], features[0, 1 + registers:]])
                self.lines.append(f'{name} {size} {label} {kept.shape[0]} {kept.shape[1]} {project(kept)}')
            kept.backward(formula(kept.numel()).reshape(kept.shape))
            self.lines.append(f'{name} {size} grad 3 {size * size} {project(x.grad[0])}')


def vision_config(**more):
    return dict(hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=HEADS, image_size=28, patch_size=PATCH, **more)


def transformers_model(kind, **config):
    """A model, its config.json as transformers writes it, and its states."""
    net = randomise(getattr(hf, kind + 'Model')(getattr(hf, kind + 'Config')(**vision_config(**config))), len(kind))

    def hidden(x):
        interpolate = {} if kind.startswith('Dinov2') else {'interpolate_pos_encoding': True}
        out = net(x, output_hidden_states=True, **interpolate)
        return out.hidden_states, out.last_hidden_state
    return net, json.loads(net.config.to_json_string(use_diff=False)), hidden


def disk_names(net, folder):
    """The tensors as save_pretrained calls them."""
    from safetensors.torch import load_file
    net.save_pretrained(folder)
    return load_file(os.path.join(folder, 'model.safetensors'))


def keep(config, *more):
    keys = ('model_type', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'image_size',
            'patch_size', 'hidden_act', 'layer_norm_eps', 'num_channels', *more)
    return {k: config[k] for k in keys if k in config}


def add_transformers(w, temporary):
    for name, kind, sizes, more in [
            ('clip', 'CLIPVision', (28, 45, 14), {'intermediate_size': MLP, 'hidden_act': 'gelu'}),
            ('siglip', 'SiglipVision', (28, 36), {'intermediate_size': MLP}),
            ('blip2', 'Blip2Vision', (28, 56), {'intermediate_size': MLP, 'layer_norm_eps': 1e-4}),
            ('dinov2', 'Dinov2', (28, 38), {'mlp_ratio': 2}),
            ('dinov2_swiglu', 'Dinov2', (28,), {'mlp_ratio': 2, 'use_swiglu_ffn': True}),
            ('dinov2_registers', 'Dinov2WithRegisters', (28, 49, 14), {'mlp_ratio': 2, 'num_register_tokens': 3})]:
        net, config, hidden = transformers_model(kind, **more)
        tensors = disk_names(net, temporary)
        config = keep(config, 'mlp_ratio', 'use_swiglu_ffn', 'num_register_tokens', 'qkv_bias')
        if name == 'clip':  # as a CLIPModel holds it, with a text tower beside
            tensors = {'vision_model.' + k: v for k, v in tensors.items()}
            tensors |= {'logit_scale': torch.ones(()), 'visual_projection.weight': torch.ones(4, WIDTH),
                        'text_projection.weight': torch.ones(4, 4), 'text_model.final_layer_norm.weight': torch.ones(4)}
            config = {'model_type': 'clip', 'vision_config': config, 'text_config': {'hidden_size': 4}}
        w.network(name, tensors, {'config.json': config}, hidden, sizes, more.get('num_register_tokens', 0))


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def add_open_clip(w):
    """OpenAI's names; resized positions as open_clip does when it loads."""
    from open_clip.model import resize_pos_embed
    from open_clip.transformer import VisionTransformer
    def make(size):
        return VisionTransformer(image_size=size, patch_size=PATCH, width=WIDTH, layers=2, heads=HEADS, mlp_ratio=MLP / WIDTH,
                                 output_dim=6, act_layer=QuickGELU)
    base = randomise(make(28), 11)
    state = {'visual.' + k: v.clone() for k, v in base.state_dict().items()}

    config = {'model_cfg': {'embed_dim': 6, 'quick_gelu': True,
                            'vision_cfg': {'image_size': 28, 'layers': 2, 'width': WIDTH, 'head_width': WIDTH // HEADS,
                                           'patch_size': PATCH}},
              'preprocess_cfg': {'mean': [.4, .5, .6], 'std': [.2, .25, .3]}}

    def states(x):
        net, resized = make(x.shape[-1]).float().eval(), dict(state)
        holder = nn.Module()
        holder.visual = net
        resize_pos_embed(resized, holder)
        net.load_state_dict({k[len('visual.'):]: v for k, v in resized.items()})
        y = net._embeds(x)  # with class token, positions and ln_pre
        out = [y]
        for block in net.transformer.resblocks:
            y = block(y)
            out.append(y)
        return out, y
    text = {'transformer.resblocks.0.ln_1.weight': torch.ones(4), 'positional_embedding': torch.ones(5, 4),
            'token_embedding.weight': torch.ones(5, 4), 'ln_final.weight': torch.ones(4), 'ln_final.bias': torch.ones(4),
            'text_projection': torch.ones(4, 6), 'logit_scale': torch.ones(())}
    w.network('open_clip', state | text, {'open_clip_config.json': config}, states, (28, 42, 21))


def timm_states(net, x, final):
    y = net.norm_pre(net._pos_embed(net.patch_embed(x)))
    out = [y]
    for block in net.blocks:
        y = block(y)
        out.append(y)
    return out, final(y)


def make_timm(size, width, blocks, scaled, seed):
    """One head, patches of 3."""
    import timm
    net = timm.create_model('vit_base_patch16_224', img_size=size, patch_size=3, embed_dim=width, depth=blocks,
                            num_heads=1, mlp_ratio=WIDTH / width, num_classes=0, global_pool='token',
                            init_values=1. if scaled else None)
    return randomise(net, seed)


def add_timm(w):
    """BiomedCLIP's names, heads of 64, and its successor's layer scale; positions as timm resizes them when it loads."""
    from timm.layers import resample_abs_pos_embed
    base = make_timm(12, 64, 1, True, 12)
    state = base.state_dict()

    def states(x):
        side = x.shape[-1] // 3
        net = make_timm(x.shape[-1], 64, 1, True, 12)
        resized = dict(state) | {'pos_embed': resample_abs_pos_embed(state['pos_embed'], [side, side])}
        net.load_state_dict(resized)
        return timm_states(net, x, net.norm)
    tensors = {'visual.trunk.' + k: v for k, v in state.items()}
    tensors |= {'visual.head.proj.weight': torch.ones(6, 64), 'text.proj.0.weight': torch.ones(3, 3), 'logit_scale': torch.ones(())}
    w.network('timm', tensors, {}, states, (12, 15))


def add_eva(w):
    """EVA's ViT is timm's but for its biases, and LAVIS puts ln_vision behind it; heads of 88. Positions as LAVIS resizes them."""
    base = make_timm(12, 88, 1, False, 13)
    norm = randomise(nn.LayerNorm(88, eps=1e-6), 14)
    state = base.state_dict()
    state['blocks.0.attn.qkv.bias'][88:176] = 0

    def states(x):
        side = x.shape[-1] // 3
        net = make_timm(x.shape[-1], 88, 1, False, 13)
        old = state['pos_embed']
        grid = old[:, 1:].reshape(1, 4, 4, 88).permute(0, 3, 1, 2)
        grid = nn.functional.interpolate(grid, size=(side, side), mode='bicubic', align_corners=False)
        resized = dict(state) | {'pos_embed': torch.cat([old[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)}
        net.load_state_dict(resized)
        return timm_states(net, x, norm)
    tensors = {k: v for k, v in state.items() if not k.startswith('norm.')}
    bias = tensors.pop('blocks.0.attn.qkv.bias')
    tensors |= {'blocks.0.attn.q_bias': bias[:88].clone(), 'blocks.0.attn.v_bias': bias[176:].clone()}
    tensors |= {'ln_vision.weight': norm.weight.data, 'ln_vision.bias': norm.bias.data}
    w.network('eva', tensors, {}, states, (12, 24, 54))


def positions(path):
    with open(path, 'w') as out:
        for old, new in ((4, 8), (5, 3), (4, 7), (7, 5)):
            for antialias in (False, True):
                grid = torch.from_numpy(np.sin(np.arange(old * old)).astype(np.float32)).reshape(1, 1, old, old)
                resized = nn.functional.interpolate(grid, size=(new, new), mode='bicubic', align_corners=False,
                                                    antialias=antialias)
                out.write(f'{old} {new} {int(antialias)} ' + ' '.join(f'{v:.8e}' for v in resized.flatten().tolist()) + '\n')


def main():
    import tempfile
    w = Writer(sys.argv[1])
    with tempfile.TemporaryDirectory() as temporary:
        add_transformers(w, temporary)
    add_open_clip(w)
    add_timm(w)
    add_eva(w)
    with open(os.path.join(w.out, 'vit.txt'), 'w') as out:
        out.write('\n'.join(w.lines) + '\n')
    positions(os.path.join(w.out, 'vit_positions.txt'))


main()
