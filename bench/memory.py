#!/usr/bin/env python3
"""Planned against measured peak memory: for each recipe what `train --plan` says, and what a training of some steps takes, resident,
mapped file pages counted (VmHWM). A recipe with stages is trained whole, so many steps a stage.

usage: bench/memory.py [--steps 12] [--pefomed build/release/pefomed] RECIPE=DATA... [-- train's options...]
"""
import argparse
import json
import subprocess
import sys
import tempfile
import time


def resident(pid):
    with open(f'/proc/{pid}/status') as status:
        return next((int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM')), 0)


def train(command):
    process, most = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True), 0
    while process.poll() is None:
        try:
            most = max(most, resident(process.pid))
        except FileNotFoundError:
            break
        time.sleep(0.05)
    if process.wait() != 0:
        sys.exit(f'memory.py: {" ".join(command)}: {process.stderr.read().strip()}')
    return most


def measure(pefomed, recipe, data, steps, options):
    base = [pefomed, 'train', recipe, '--data', data, '--quiet', *options]
    plan = json.loads(subprocess.run([*base, '--plan', '--json'], check=True, capture_output=True, text=True).stdout)
    stages = [''] if len(plan['stages']) == 1 else [f'stages.{i}.' for i in range(len(plan['stages']))]
    short = [word for stage in stages for word in ('--set', f'{stage}train.steps={steps}')]
    with tempfile.TemporaryDirectory() as out:
        return plan['peak_bytes'], train([*base, *short, '--out', f'{out}/run'])


def main():
    words = sys.argv[1:]
    options = words[words.index('--') + 1:] if '--' in words else []
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--steps', type=int, default=12)
    parser.add_argument('--pefomed', default='build/release/pefomed')
    parser.add_argument('recipes', nargs='+', metavar='RECIPE=DATA')
    arguments = parser.parse_args(words[:words.index('--')] if '--' in words else words)
    print(f'{"recipe":<32}{"planned":>10}{"measured":>10}{"ratio":>8}   GiB')
    for pair in arguments.recipes:
        recipe, data = pair.split('=', 1)
        planned, measured = measure(arguments.pefomed, recipe, data, arguments.steps, options)
        print(f'{recipe:<32}{planned / 2**30:>10.2f}{measured / 2**30:>10.2f}{measured / planned:>8.3f}', flush=True)


if __name__ == '__main__':
    main()
