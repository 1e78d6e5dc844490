#!/usr/bin/env python3
"""One picture through eight blocks of the shape of EVA-CLIP's ViT-g/14 at 448 pixels (1,025 tokens) in torch, bf16: what
`pefomed bench vision` stands beside. Prints the fastest of some passes.

usage: bench/picture.py [PASSES]       (needs torch)
"""
import sys
import time

import torch
import torch.nn.functional as F

WIDTH, INNER, HEADS, TOKENS, BLOCKS, PATCH = 1408, 6144, 16, 1025, 8, 588


def linear(n, k):
    return (torch.randn(n, k) * 0.02).to(torch.bfloat16), torch.zeros(n, dtype=torch.bfloat16)


class Block:
    def __init__(self):
        self.qkv, self.out = linear(3 * WIDTH, WIDTH), linear(WIDTH, WIDTH)
        self.up, self.down = linear(INNER, WIDTH), linear(WIDTH, INNER)

    def __call__(self, h):
        x = F.layer_norm(h, (WIDTH,)).to(torch.bfloat16)
        q, k, v = F.linear(x, *self.qkv).view(1, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, TOKENS, WIDTH)
        h = h + F.linear(mixed, *self.out)
        x = F.layer_norm(h, (WIDTH,)).to(torch.bfloat16)
        return h + F.linear(F.gelu(F.linear(x, *self.up)), *self.down)


def main():
    passes = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    blocks, patch = [Block() for _ in range(BLOCKS)], linear(WIDTH, PATCH)
    pixels = torch.randn(1, TOKENS, PATCH).to(torch.bfloat16)
    best = float("inf")
    with torch.no_grad():
        for _ in range(passes):
            begun = time.perf_counter()
            h = F.linear(pixels, *patch).float()
            for block in blocks:
                h = block(h)
            best = min(best, time.perf_counter() - begun)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads: {1e3 * best:.1f} ms a picture")


main()
