#!/usr/bin/env python3
"""What a step of each PEFT method costs beside LoRA of about the same trained size: time and memory, as a table.

usage: bench/methods.py RECIPE... --data FOLDER [--lora recipes/ablation/lora.yaml] [--steps 20] [--rounds 2] [--work DIR]
                        [--pefomed build/release/pefomed] [train's options...]

The LoRA is that of --lora with another rank: of all linear layers, or where rank 1 of these trains more than the method does, of q_proj
and v_proj, or of q_proj in some blocks. Both are trained with the same samples, in turn, --rounds times. The ratio of
times is the median over steps (of each the fastest round; the first two steps are left out), memory the most at the end of
a step. Nothing else should run.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

ALL = 'q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj'


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f'methods.py: {" ".join(command)}: {done.stderr.strip()}')
    return done.stdout


def trained(o, recipe, sets):
    said = run([o.pefomed, 'train', recipe, '--plan', '--json', '--quiet', *sets])
    return json.loads(said)['trainable_parameters']


def settings(**keys):
    return [word for key, value in keys.items() for word in ('--set', f'peft.{key}={value}')]


def lora_like(o, count, aligner, cache={}):
    """The settings of --lora that train about `count` numbers beside the aligner, that number, and the rank."""
    shapes = [{'targets': ALL}, {'targets': 'q_proj,v_proj'}] + [{'targets': 'q_proj', 'layers': ','.join(map(str, range(n)))}
                                                                 for n in (10, 3, 1)]
    for shape in shapes:
        key = str(shape)
        if key not in cache:
            cache[key] = trained(o, o.lora, settings(rank=1, **shape)) - aligner
        if cache[key] <= 1.2 * count:
            break
    rank = max(1, round(count / cache[key]))
    return settings(rank=rank, alpha=2 * rank, **shape), rank * cache[key], rank


def train(o, recipe, sets, out):
    run([o.pefomed, 'train', recipe, '--data', o.data, '--out', out, '--fresh', '--quiet', '--set', f'train.steps={o.steps}', '--set',
         'train.validate_limit=1', *sets, *o.more])
    rows = [json.loads(line) for line in open(os.path.join(out, 'log.jsonl'))]
    ends = [row['seconds'] for row in rows]
    return [b - a for a, b in zip(ends[1:], ends[2:])], max(row['rss_bytes'] for row in rows)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('recipe', nargs='+'), a.add_argument('--data', required=True)
    a.add_argument('--lora', default='recipes/ablation/lora.yaml'), a.add_argument('--none', default='recipes/ablation/none.yaml')
    a.add_argument('--steps', type=int, default=20), a.add_argument('--rounds', type=int, default=2)
    a.add_argument('--work'), a.add_argument('--pefomed', default='build/release/pefomed')
    o, o.more = a.parse_known_args()
    work = o.work or tempfile.mkdtemp()
    aligner = trained(o, o.none, [])
    print('| recipe | trains beside the aligner | ms a step | GiB | LoRA beside it trains | ms a step | GiB | time | memory |')
    print('|---|---|---|---|---|---|---|---|---|', flush=True)
    for recipe in o.recipe:
        name = os.path.splitext(os.path.basename(recipe))[0]
        count = trained(o, recipe, []) - aligner
        sets, size, rank = lora_like(o, count, aligner)
        mine, other = [], []
        for _ in range(o.rounds):
            mine.append(train(o, recipe, [], os.path.join(work, name)))
            other.append(train(o, o.lora, sets, os.path.join(work, name + '-lora')))
        fastest = [[min(steps) for steps in zip(*(steps for steps, _ in rounds))] for rounds in (mine, other)]
        memory = [max(peak for _, peak in rounds) for rounds in (mine, other)]
        print(f'| {name} | {count:,} | {1e3 * statistics.mean(fastest[0]):.0f} | {memory[0] / 2**30:.2f} | {size:,} (rank {rank}) '
              f'| {1e3 * statistics.mean(fastest[1]):.0f} | {memory[1] / 2**30:.2f} '
              f'| {statistics.median(x / y for x, y in zip(*fastest)):.2f} | {memory[0] / memory[1]:.2f} |', flush=True)


main()
