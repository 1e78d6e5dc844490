#!/usr/bin/env python3
"""Decodes one stream with llama.cpp and with pefomed on the same threads, in one run: tokens a second after a past of 96 tokens.

usage: llama.py MODEL.gguf [--threads 2] [--rounds 3] [--weights q4_1] [--pefomed build/release/pefomed]

llama.cpp (llama-cpp-python) computes with the GGUF as it is; pefomed with the model of the same shape, its matrices in the format
named, and beside them the bf16 LoRA factors that a fine-tuned model has (`pefomed bench decode`).
"""
import argparse
import json
import subprocess
import time


def theirs(path, threads):
    import llama_cpp
    model = llama_cpp.Llama(path, n_ctx=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    model.eval(list(range(100, 196)))
    model.eval([7])
    begun, count = time.monotonic(), 64
    for i in range(count):
        model.eval([1000 + i])
    return count / (time.monotonic() - begun)


def ours(o):
    document = json.loads(subprocess.check_output([o.pefomed, 'bench', 'decode', '--weights', o.weights, '--threads', str(o.threads), '--json']))
    row = next(r for r in document[0]['rows'] if r['shape'].startswith('1 rows'))
    return 1 / row['seconds']


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('model'), a.add_argument('--threads', type=int, default=2), a.add_argument('--rounds', type=int, default=3)
    a.add_argument('--weights', default='q4_1'), a.add_argument('--pefomed', default='build/release/pefomed')
    o = a.parse_args()
    print(f'{"llama.cpp":>12}{"pefomed":>12}{"ratio":>8}   tokens/s')
    for _ in range(o.rounds):
        their, our = theirs(o.model, o.threads), ours(o)
        print(f'{their:12.1f}{our:12.1f}{our / their:8.2f}', flush=True)


main()
