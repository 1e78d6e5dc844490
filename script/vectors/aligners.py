#!/usr/bin/env python3
"""Makes a small Q-Former in tests/models/golden (as transformers' Blip2Model names its tensors), and what torch and transformers
compute with it and with the other aligners: visual tokens, gradients of features and of every weight.

usage: script/vectors/aligners.py [OUT]       (needs numpy, safetensors, torch, transformers from PyPI)

Features, the weights of linear layers and the gradient of the visual tokens are not stored: `spread` makes them from integers,
here and in tests/models/tiny.c, to the same bits.
"""
import os
import sys

import numpy as np
import torch
from language import spread
from safetensors.numpy import save_file
from transformers import Blip2QFormerConfig, Blip2QFormerModel, CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/models/golden')
IMAGES, GRID, CHANNELS, HIDDEN, INNER = 2, 4, 12, 10, 14
QFORMER, QUERIES = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24, cross_attention_frequency=2), 5


def linear(k, n, seed):
    """A layer whose weight and bias are spread(seed) and spread(seed + 1)."""
    layer = torch.nn.Linear(k, n)
    layer.weight.data = torch.from_numpy(0.25 * spread(seed, n, k))
    layer.bias.data = torch.from_numpy(0.25 * spread(seed + 1, n))
    return layer


class Concat(torch.nn.Module):
    """PeFoMed's: four patches of a row become one token."""

    def __init__(self):
        super().__init__()
        self.proj = linear(4 * CHANNELS, HIDDEN, 500)

    def forward(self, x):
        bs, pn, hs = x.shape
        return self.proj(x.view(bs, pn // 4, hs * 4))


def llava():
    config = LlavaConfig(vision_config=CLIPVisionConfig(hidden_size=CHANNELS, num_attention_heads=1), text_config=LlamaConfig(hidden_size=HIDDEN, num_attention_heads=1, num_key_value_heads=1),
                         projector_hidden_act='gelu', vision_feature_layer=-2, multimodal_projector_bias=True)
    module = LlavaMultiModalProjector(config)
    module.linear_1, module.linear_2 = linear(CHANNELS, HIDDEN, 500), linear(HIDDEN, HIDDEN, 502)
    return module


class Double(torch.nn.Module):
    def __init__(self, k):
        super().__init__()
        self.linear_1, self.linear_2 = linear(k, INNER, 500), linear(INNER, HIDDEN, 502)

    def forward(self, x):
        return self.linear_2(self.linear_1(x))


class QFormer(torch.nn.Module):
    def __init__(self, double):
        super().__init__()
        torch.manual_seed(23)
        self.qformer = Blip2QFormerModel(Blip2QFormerConfig(encoder_hidden_size=CHANNELS, vocab_size=8, **QFORMER)).eval()
        for name, p in self.qformer.named_parameters():
            norm = name.lower().endswith('norm.weight')
            p.data = 1 + 0.3 * torch.randn(p.shape) if norm else (0.1 if name.endswith('bias') else 0.3) * torch.randn(p.shape)
        self.query_tokens = torch.nn.Parameter(torch.randn(1, QUERIES, QFORMER['hidden_size']))
        self.double = double
        if double:
            self.last = Double(QFORMER['hidden_size'])
        else:
            self.proj = linear(QFORMER['hidden_size'], HIDDEN, 500)

    def forward(self, x):
        out = self.qformer(query_embeds=self.query_tokens.expand(x.shape[0], -1, -1), encoder_hidden_states=x).last_hidden_state
        return self.last(out) if self.double else self.proj(out)


GATED = ['attn.norm.weight', 'attn.norm.bias', 'attn.norm_visual.weight', 'attn.norm_visual.bias', 'attn.to_q.weight', 'attn.to_k.weight',
         'attn.to_v.weight', 'attn.to_out.weight', 'attn_gate', 'ff.norm.weight', 'ff.norm.bias', 'ff.linear_1.weight', 'ff.linear_2.weight', 'ff_gate']
GATED_HEADS, GATED_DIM, IMAGE_OF = 2, 4, [0, 0, 0, 0, 0, 1, 1, 1, -1]  # of each token; the last one sees no image


class Gated(torch.nn.Module):
    """Flamingo's gated cross-attention and feed-forward, over all rows of a token's image."""

    def __init__(self):
        super().__init__()
        inner = GATED_HEADS * GATED_DIM
        self.proj = linear(CHANNELS, HIDDEN, 500)
        self.attn = torch.nn.ModuleDict(dict(norm=torch.nn.LayerNorm(HIDDEN), norm_visual=torch.nn.LayerNorm(HIDDEN),
                                             to_q=torch.nn.Linear(HIDDEN, inner, bias=False), to_k=torch.nn.Linear(HIDDEN, inner, bias=False),
                                             to_v=torch.nn.Linear(HIDDEN, inner, bias=False), to_out=torch.nn.Linear(inner, HIDDEN, bias=False)))
        self.ff = torch.nn.ModuleDict(dict(norm=torch.nn.LayerNorm(HIDDEN), linear_1=torch.nn.Linear(HIDDEN, 4 * HIDDEN, bias=False),
                                           linear_2=torch.nn.Linear(4 * HIDDEN, HIDDEN, bias=False)))
        self.attn_gate, self.ff_gate = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
        for i, name in enumerate(GATED):
            p = self.get_parameter(name)
            base = 0.5 if name.endswith('gate') else 1 if p.ndim == 1 and name.endswith('weight') else 0
            p.data = base + torch.from_numpy(0.25 * spread(800 + i, *p.shape))

    def attention(self, hidden, visual):
        heads = lambda x: x.view(-1, GATED_HEADS, GATED_DIM).transpose(0, 1)
        media = self.attn['norm_visual'](visual)
        q, k, v = heads(self.attn['to_q'](self.attn['norm'](hidden))), heads(self.attn['to_k'](media)), heads(self.attn['to_v'](media))
        image = torch.tensor(IMAGE_OF)
        mask = image[:, None] == torch.arange(IMAGES).repeat_interleave(GRID * GRID)[None]
        sees = image >= 0
        mixed = torch.zeros(GATED_HEADS, len(image), GATED_DIM)
        mixed[:, sees] = torch.nn.functional.scaled_dot_product_attention(q[:, sees], k, v, attn_mask=mask[sees])
        return self.attn['to_out'](mixed.transpose(0, 1).reshape(len(image), -1))

    def forward(self, hidden, features):
        hidden = hidden + torch.tanh(self.attn_gate) * self.attention(hidden, self.proj(features))
        ff = self.ff['linear_2'](torch.nn.functional.gelu(self.ff['linear_1'](self.ff['norm'](hidden))))
        return hidden + torch.tanh(self.ff_gate) * ff


def run_gated(out):
    module = Gated()
    features = torch.from_numpy(np.concatenate([spread(600 + i, GRID * GRID, CHANNELS) for i in range(IMAGES)])).requires_grad_()
    hidden = torch.from_numpy(spread(701, len(IMAGE_OF), HIDDEN)).requires_grad_()
    y = module(hidden, features)
    y.backward(torch.from_numpy(spread(700, *y.shape)))
    out['gated.hidden'], out['gated.grad_hidden'], out['gated.grad_in'] = y.detach().numpy(), hidden.grad.numpy(), features.grad.numpy()
    for name, p in module.named_parameters():
        out[f'gated.{name}.grad'] = p.grad.numpy()


def run(name, module, out):
    features = torch.from_numpy(np.stack([spread(600 + i, GRID * GRID, CHANNELS) for i in range(IMAGES)])).requires_grad_()
    visual = module(features)
    visual.backward(torch.from_numpy(spread(700, *visual.shape)))
    out[f'{name}.visual'] = visual.detach().reshape(-1, HIDDEN).numpy()
    out[f'{name}.grad_in'] = features.grad.reshape(-1, CHANNELS).numpy()
    for parameter, p in module.named_parameters():
        out[f'{name}.{parameter.removeprefix("last.")}.grad'] = p.grad.reshape(p.grad.shape[-2:]).numpy()


def main():
    out = {}
    run('concat-linear', Concat(), out)
    run('linear', torch.nn.ModuleDict({'proj': linear(CHANNELS, HIDDEN, 500)})['proj'], out)
    for part in ('weight', 'bias'):
        out[f'linear.proj.{part}.grad'] = out.pop(f'linear.{part}.grad')
    run('mlp2x_gelu', llava(), out)
    run('double-linear', Double(CHANNELS), out)
    former = QFormer(False)
    run('qformer', former, out)
    double = {}
    run('qformer-double-linear', QFormer(True), double)
    # the Q-Former is the same one: what stands behind it and the features say enough
    out.update({n: t for n, t in double.items() if '.qformer.' not in n and 'query_tokens' not in n})
    run_gated(out)
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, 'aligners.safetensors'))
    weights = {'qformer.' + n: p for n, p in former.qformer.named_parameters()} | {'query_tokens': former.query_tokens}
    save_file({n: np.ascontiguousarray(p.detach().numpy()) for n, p in weights.items()}, os.path.join(OUT, 'qformer.safetensors'))
    published = Blip2QFormerModel(Blip2QFormerConfig())
    print('BLIP-2: ', sum(p.numel() for p in published.parameters()) + 32 * 768, 'parameters')


if __name__ == '__main__':
    main()
