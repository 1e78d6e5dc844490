#!/usr/bin/env python3
"""Makes tests/peft/golden/moe.safetensors: what mixtures of experts compute on the tiny llama and the rows that
script/vectors/language.py made, by torch's own derivatives: the loss, the balance loss, what the routers took, and the gradients of
the experts, the routers and the aligner's bias.

usage: script/vectors/moe.py [OUT]       (needs numpy, safetensors, torch, transformers from PyPI)

Hugging Face PEFT has no such method, so the modules here are written from the papers: the gates of Switch Transformers (one expert a
token) and Mixtral (several), Switch's balance loss over each row, a capacity that looks back alone. Parameters are not stored:
`spread` makes them from integers, here and in tests/peft/test_moe.c, to the same bits.
"""
import math
import os
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import LlamaForCausalLM

from language import ALL, spread

MODELS = os.path.join(os.path.dirname(__file__), '../../tests/models/golden')
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '../../tests/peft/golden')
ALPHA, ROWS = 6, 4
CASES = {
    'token': dict(targets=ALL, rank=2, experts=3, top_k=2, shared=False, balance=0.5, capacity=0),
    'switch': dict(targets=['q_proj', 'down_proj'], rank=3, experts=4, top_k=1, shared=True, balance=0.25, capacity=0.75),
    'context': dict(targets=['v_proj', 'up_proj'], rank=2, experts=2, shared=False, contexts=[1, 2, 1, 0]),
    'context_shared': dict(targets=['v_proj', 'up_proj'], rank=2, experts=2, shared=True, contexts=[1, 2, 1, 0]),
}


class Experts(torch.nn.Module):
    """A frozen linear layer with LoRA experts beside it."""

    def __init__(self, base, seed, c):
        super().__init__()
        self.base, self.c = base, c
        n, k = base.weight.shape
        rows = (c['experts'] + c['shared']) * c['rank']
        self.lora_A = torch.nn.Parameter(torch.from_numpy(spread(seed, rows, k) * np.float32(0.2)))
        self.lora_B = torch.nn.Parameter(torch.from_numpy(spread(seed + 1, n, rows) * np.float32(0.2)))
        self.router = torch.nn.Parameter(torch.from_numpy(spread(seed + 2, c['experts'], k) * np.float32(0.5))) if 'top_k' in c else None
        self.context = None

    def kept(self, taken):
        """Which of the taken experts a row's tokens get, one token after the other."""
        c, count, out = self.c, [0] * self.c['experts'], torch.zeros_like(taken)
        for t in range(len(taken)):
            most = math.ceil(c['capacity'] * c['top_k'] * (t + 1) / c['experts']) if c['capacity'] else len(taken)
            for e in range(c['experts']):
                if taken[t, e] and count[e] < most:
                    out[t, e], count[e] = 1, count[e] + 1
        return out

    def by_token(self, x):
        c = self.c
        p = (x @ self.router.T).softmax(-1)
        taken = torch.zeros_like(p).scatter(1, p.topk(c['top_k'], -1).indices, 1)
        kept = self.kept(taken)
        whole = p if c['top_k'] == 1 else p * taken
        gates = p / whole.sum(-1, keepdim=True) * kept
        load = taken.sum(0) / taken.sum()
        self.balance = c['experts'] * (load * p.mean(0)).sum()
        self.report = dict(load=load.numpy(), balance=self.balance.item(), entropy=-(p * p.log()).sum(-1).mean().item(),
                           dropped=((taken - kept).sum() / taken.sum()).item())
        return gates

    def by_context(self, x):
        c = self.c
        gates = torch.zeros(len(x), c['experts'])
        if self.context > 0:
            gates[:, self.context - 1] = 1
        elif not c['shared']:
            gates += 1 / c['experts']
        self.balance, self.report = 0, dict(load=gates[0].numpy())
        return gates

    def forward(self, x):
        c, inner = self.c, x[0]
        gates = self.by_token(inner) if self.router is not None else self.by_context(inner)
        if c['shared']:
            gates = torch.cat([gates, torch.ones(len(inner), 1)], 1)
        down = inner @ self.lora_A.T * gates.repeat_interleave(c['rank'], 1)
        return self.base(x) + (ALPHA / c['rank'] * (down @ self.lora_B.T))[None]


def add_experts(model, c):
    """Every seventh module from 1000 on has its three seeds, whether it is targeted or not."""
    modules, out = dict(model.named_modules()), {}
    for layer in range(model.config.num_hidden_layers):
        for i, name in enumerate(ALL):
            parent = modules[f'model.layers.{layer}.' + ('self_attn' if i < 4 else 'mlp')]
            if name in c['targets']:
                wrapped = Experts(getattr(parent, name), 1000 + 3 * (7 * layer + i), c)
                setattr(parent, name, wrapped)
                out[f'model.layers.{layer}.' + ('self_attn.' if i < 4 else 'mlp.') + name] = wrapped
    return out


def run(c):
    rows = load_file(os.path.join(MODELS, 'system.safetensors'))
    model = LlamaForCausalLM.from_pretrained(os.path.join(MODELS, 'llama'), dtype=torch.float32, attn_implementation='eager').eval()
    model.requires_grad_(False)
    experts = add_experts(model, c)
    table = model.get_input_embeddings().weight
    visual = [torch.from_numpy(rows[f'visual{i}']).requires_grad_(True) for i in range(2)]
    total = sum(len(rows[f'row{i}']) - rows[f'row{i}.answer'][0] for i in range(ROWS))
    loss, balance, reports = 0, 0, []
    for i in range(ROWS):
        ids, begin = rows[f'row{i}'].tolist(), int(rows[f'row{i}.answer'][0])
        for e in experts.values():
            e.context = c['contexts'][i] if 'contexts' in c else None
        embeds = torch.stack([table[t] if t >= 0 else visual[int(i == 3)][-1 - t] for t in ids[:-1]])
        logits = model(inputs_embeds=embeds[None]).logits[0, begin - 1:]
        loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(ids[begin:]), reduction='sum') / total
        balance = balance + sum(e.balance for e in experts.values()) / ROWS
        reports += [e.report for e in experts.values()]
    (loss + c.get('balance', 0) * balance).backward()
    out = {'loss': loss.detach().numpy(), 'aligner.proj.bias.grad': (visual[0].grad.sum(0) + visual[1].grad.sum(0)).numpy()}
    for name, e in experts.items():
        out.update({f'{name}.{n}.weight.grad': p.grad.numpy() for n, p in e.named_parameters() if p.requires_grad})
    out.update({key: np.mean([r[key] for r in reports], 0) for key in reports[0]})
    return out


def main():
    torch.set_num_threads(1)
    os.makedirs(OUT, exist_ok=True)
    out = {}
    for name, c in CASES.items():
        out.update({f'{name}.{n}': np.atleast_1d(np.asarray(t, np.float32)) for n, t in run(c).items()})
    save_file({n: np.ascontiguousarray(t) for n, t in out.items()}, os.path.join(OUT, 'moe.safetensors'))


if __name__ == '__main__':
    main()
