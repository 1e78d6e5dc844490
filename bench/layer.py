#!/usr/bin/env python3
"""A LoRA step (rank 64 on q and v) on one layer of the shape of LLaMA-2-7B in torch, bf16, 1,280 tokens: what `pefomed bench base`
stands beside. Prints the fastest of some steps, by the clock and by the time that its threads ran.

usage: bench/layer.py [STEPS]       (needs torch)
"""
import sys
import time

import torch
import torch.nn.functional as F

HIDDEN, INTERMEDIATE, HEADS, GROUPS, TOKENS, RANK = 4096, 11008, 32, 4, 320, 64


def frozen(n, k):
    return (torch.randn(n, k) * 0.03).to(torch.bfloat16)


class Layer:
    def __init__(self):
        shapes = {"q": HIDDEN, "k": HIDDEN, "v": HIDDEN, "o": HIDDEN}
        self.w = {name: frozen(n, HIDDEN) for name, n in shapes.items()}
        self.w |= {"gate": frozen(INTERMEDIATE, HIDDEN), "up": frozen(INTERMEDIATE, HIDDEN), "down": frozen(HIDDEN, INTERMEDIATE)}
        self.lora = {name: [torch.randn(RANK, HIDDEN).mul(0.01).to(torch.bfloat16).requires_grad_(),
                            torch.randn(HIDDEN, RANK).mul(0.01).to(torch.bfloat16).requires_grad_()] for name in "qv"}

    def linear(self, name, x):
        y = F.linear(x, self.w[name])
        if name in self.lora:
            a, b = self.lora[name]
            y = y + 2 * F.linear(F.linear(F.dropout(x, 0.05), a), b)
        return y

    def step(self, x):
        norm = F.rms_norm(x, (HIDDEN,)).to(torch.bfloat16)
        q, k, v = (self.linear(name, norm).view(GROUPS, TOKENS, HEADS, -1).transpose(1, 2) for name in "qkv")
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(GROUPS, TOKENS, HIDDEN)
        h = x + self.linear("o", mixed)
        norm = F.rms_norm(h, (HIDDEN,)).to(torch.bfloat16)
        return h + self.linear("down", F.silu(self.linear("gate", norm)) * self.linear("up", norm))


def main():
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    layer = Layer()
    x = torch.randn(GROUPS, TOKENS, HIDDEN, requires_grad=True)
    best, best_cpu = float("inf"), float("inf")
    for _ in range(steps + 1):
        wall, cpu = time.perf_counter(), time.process_time()
        layer.step(x).sum().backward()
        best, best_cpu = min(best, time.perf_counter() - wall), min(best_cpu, time.process_time() - cpu)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads: {best:.3f} s a step, threads ran {best_cpu:.3f} s")


main()
