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
    'adapter': dict(bottleneck=3, scale=2, experts=3, top_k=2, shared=True, balance=0.5, capacity=0),
    'adapter_context': dict(bottleneck=2, scale=1, experts=2, shared=False, contexts=[1, 2, 1, 0]),
}


def parameter(seed, size, *shape):
    return torch.nn.Parameter(torch.from_numpy(spread(seed, *shape) * np.float32(size)))


class Experts(torch.nn.Module):
    """The gates of a mixture, and what each row says of them."""

    def __init__(self, seed, width, c):
        super().__init__()
        self.c, self.context = c, None
        self.router = parameter(seed, 0.5, c['experts'], width) if 'top_k' in c else None

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
        load = taken.sum(0) / taken.sum()
        self.balance = c['experts'] * (load * p.mean(0)).sum()
        self.report = dict(load=load.numpy(), balance=self.balance.item(), entropy=-(p * p.log()).sum(-1).mean().item(),
                           dropped=((taken - kept).sum() / taken.sum()).item())
        return p / whole.sum(-1, keepdim=True) * kept

    def by_context(self, x):
        c = self.c
        gates = torch.zeros(len(x), c['experts'])
        if self.context > 0:
            gates[:, self.context - 1] = 1
        elif not c['shared']:
            gates += 1 / c['experts']
        self.balance, self.report = 0, dict(load=gates[0].numpy())
        return gates

    def gates(self, x, columns):
        """Of each expert's columns, the shared expert last."""
        gates = self.by_token(x) if self.router is not None else self.by_context(x)
        if self.c['shared']:
            gates = torch.cat([gates, torch.ones(len(x), 1)], 1)
        return gates.repeat_interleave(columns, 1)


class Loras(Experts):
    """A frozen linear layer with LoRA experts beside it."""

    def __init__(self, base, seed, c):
        n, k = base.weight.shape
        super().__init__(seed + 2, k, c)
        self.base, rows = base, (c['experts'] + c['shared']) * c['rank']
        self.lora_A, self.lora_B = parameter(seed, 0.2, rows, k), parameter(seed + 1, 0.2, n, rows)

    def names(self):
        return {'lora_A.weight': self.lora_A, 'lora_B.weight': self.lora_B, 'router.weight': self.router}

    def forward(self, x):
        down = x[0] @ self.lora_A.T * self.gates(x[0], self.c['rank'])
        return self.base(x) + (ALPHA / self.c['rank'] * (down @ self.lora_B.T))[None]


class Adapters(Experts):
    """Bottlenecks beside an attention or an MLP; the bias on the way up is one for all, and not weighed."""

    def __init__(self, width, seed, c):
        super().__init__(seed + 4, width, c)
        rows = (c['experts'] + c['shared']) * c['bottleneck']
        self.down, self.down_bias = parameter(seed, 0.2, rows, width), parameter(seed + 1, 0.2, rows)
        self.up, self.up_bias = parameter(seed + 2, 0.2, width, rows), parameter(seed + 3, 0.2, width)

    def names(self):
        return {'adapter_down.weight': self.down, 'adapter_down.bias': self.down_bias, 'adapter_up.weight': self.up,
                'adapter_up.bias': self.up_bias, 'router.weight': self.router}

    def forward(self, x):
        inner = torch.nn.functional.gelu(x[0] @ self.down.T + self.down_bias) * self.gates(x[0], self.c['bottleneck'])
        return (self.c['scale'] * (inner @ self.up.T) + self.up_bias)[None]

    def hook(self, module, args, kwargs, output):
        x = kwargs['hidden_states'] if 'hidden_states' in kwargs else args[0]
        return (output[0] + self(x), *output[1:]) if isinstance(output, tuple) else output + self(x)


def add_loras(model, c):
    """Each of the seven modules of a layer has its three seeds from 1000 on, whether it is targeted or not."""
    modules, out = dict(model.named_modules()), {}
    for layer in range(model.config.num_hidden_layers):
        for i, name in enumerate(ALL):
            parent = f'model.layers.{layer}.' + ('self_attn' if i < 4 else 'mlp')
            if name in c['targets']:
                out[f'{parent}.{name}'] = Loras(getattr(modules[parent], name), 1000 + 3 * (7 * layer + i), c)
                setattr(modules[parent], name, out[f'{parent}.{name}'])
    return out


def add_adapters(model, c):
    """Five seeds from 2000 on for each."""
    out = {}
    for layer, block in enumerate(model.model.layers):
        for i, name in enumerate(['self_attn', 'mlp']):
            experts = Adapters(model.config.hidden_size, 2000 + 5 * (2 * layer + i), c)
            getattr(block, name).register_forward_hook(experts.hook, with_kwargs=True)
            out[f'model.layers.{layer}.{name}'] = experts
    return out


def run(c):
    rows = load_file(os.path.join(MODELS, 'system.safetensors'))
    model = LlamaForCausalLM.from_pretrained(os.path.join(MODELS, 'llama'), dtype=torch.float32, attn_implementation='eager').eval()
    model.requires_grad_(False)
    experts = (add_loras if 'targets' in c else add_adapters)(model, c)
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
    for module, e in experts.items():
        out.update({f'{module}.{name}.grad': p.grad.numpy() for name, p in e.names().items() if p is not None})
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
