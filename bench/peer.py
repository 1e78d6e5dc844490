#!/usr/bin/env python3
"""Trains the same recipe with pefomed and with a peer script (transformers + PEFT + torch) on the same threads, one after the other,
features cached on both sides, and prints speed, memory and their ratios. Ratios within one run are what may be quoted.

usage: peer.py PEER_SCRIPT PEER_PYTHON DATA WORK [--steps 40] [--rounds 1] [--threads 2] [--recipe recipes/slake.yaml]
               [--pefomed build/release/pefomed] [--set key=value]...

PEER_SCRIPT is called as `PEER_PYTHON PEER_SCRIPT DATA OUT --steps N --no-eval` and prints `second half: X samples/s`.
WORK keeps both sides' caches between calls. Speed is that of the second half of the steps; memory is the peak resident set of the
process, mapped file pages counted.
"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys


def run(command, environment, log):
    """Peak resident bytes of a command; its output goes to `log`."""
    with open(log, 'w') as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f'peer.py: failed ({os.waitstatus_to_exitcode(status)}): {" ".join(command)}\n{open(log).read()[-2000:]}')
    return usage.ru_maxrss * 1024


def rows_in(o):
    """How many training rows DATA has for this recipe, from pefomed itself."""
    text = open(o.recipe).read()
    dataset = re.search(r'dataset:\s*([\w-]+)', text)[1]
    language = re.search(r'language:\s*(en|zh)\b', text)
    rows = json.load(open(os.path.join(o.data, 'train.json'))) if dataset in ('slake', 'phantom') else None
    if rows is None:
        sys.exit('peer.py: knows data in the layout of SLAKE only')
    return sum(1 for r in rows if language is None or r.get('q_lang', language[1]) == language[1])


def ours(o, steps, name):
    """(samples/s of the second half, peak bytes, steps made) of pefomed."""
    out = os.path.join(o.work, name)
    shutil.rmtree(out, ignore_errors=True)
    epochs = (steps * o.batch + 0.5) / rows_in(o)
    command = [o.pefomed, 'train', o.recipe, '--data', o.data, '--out', out, '--threads', str(o.threads),
               '--set', f'train.epochs={epochs:.9f}', '--set', 'train.validate_every=0']
    for setting in o.set:
        command += ['--set', setting]
    peak = run(command, dict(os.environ), out + '.log')
    log = [json.loads(line) for line in open(os.path.join(out, 'log.jsonl'))]
    half = log[math.ceil(len(log) / 2) - 1]
    speed = (log[-1]['samples'] - half['samples']) / (log[-1]['seconds'] - half['seconds']) if len(log) > 1 else math.nan
    return speed, peak, len(log)


def theirs(o, steps, name):
    """(samples/s of the second half, peak bytes) of the peer."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads), MKL_NUM_THREADS=str(o.threads))
    log = os.path.join(o.work, name + '.log')
    peak = run([o.python, o.script, o.data, os.path.join(o.work, 'peer'), '--steps', str(steps), '--no-eval'], environment, log)
    return float(re.search(r'second half: ([\d.]+) samples/s', open(log).read())[1]), peak


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('script'), a.add_argument('python'), a.add_argument('data'), a.add_argument('work')
    a.add_argument('--steps', type=int, default=40), a.add_argument('--rounds', type=int, default=1)
    a.add_argument('--threads', type=int, default=2), a.add_argument('--batch', type=int, default=16)
    a.add_argument('--recipe', default='recipes/slake.yaml'), a.add_argument('--pefomed', default='build/release/pefomed')
    a.add_argument('--set', action='append', default=[])
    o = a.parse_args()
    os.makedirs(o.work, exist_ok=True)
    ours(o, 1, 'warm'), theirs(o, 2, 'peer-warm')  # fills both caches of features
    print(f'{"":<8}{"samples/s":>12}{"peak GiB":>12}')
    ratios = []
    for round_number in range(o.rounds):
        mine, mine_peak, made = ours(o, o.steps, f'ours-{round_number}')
        peer, peer_peak = theirs(o, o.steps, f'peer-{round_number}')
        print(f'{"pefomed":<8}{mine:12.2f}{mine_peak / 2**30:12.2f}   ({made} steps)')
        print(f'{"peer":<8}{peer:12.2f}{peer_peak / 2**30:12.2f}   ({o.steps} steps)', flush=True)
        ratios.append(mine / peer)
    print(f'{"ratio":<8}' + ''.join(f'{r:12.2f}' for r in ratios))


main()
