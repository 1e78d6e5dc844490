#!/usr/bin/env python3
"""Runs the same recipe with pefomed and with a peer script (transformers + PEFT + torch) on the same threads, one after the other,
and prints speed, memory and their ratios. Ratios within one run are what may be quoted.

usage: peer.py PEER_SCRIPT PEER_PYTHON DATA WORK [--measure training|features|answers] [--steps 40] [--questions 160] [--rounds 1]
               [--threads 2] [--recipe bench/recipes/slake.yaml] [--pefomed build/release/pefomed] [--set key=value]...
               [--weights FORMAT]

training  samples/s and tokens/s over the second half of the steps, features cached on both sides, and the peak resident set of
          each process, mapped file pages counted; PEER_SCRIPT DATA OUT --steps N --no-eval prints `second half: X samples/s Y
          tokens/s`. Tokens are those computed: with packing pefomed computes fewer for a sample. To compare steps without it:
          --set train.pack=false
features  images/s with empty caches, reading and resizing included: for pefomed the time that a training takes longer without
          its cache; the peer prints `features: N images, X s each`
answers   questions/s of both after --steps steps, enough of them that answers end; the peer prints `questions/s`
WORK keeps both sides' caches between calls.
"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time


def run(command, environment, log):
    """Peak resident bytes of a command; its output goes to `log`."""
    with open(log, 'w') as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f'peer.py: failed ({os.waitstatus_to_exitcode(status)}): {" ".join(command)}\n{open(log).read()[-2000:]}')
    return usage.ru_maxrss * 1024


def run_peer(o, out, words, name):
    """(what the peer script printed, its peak resident bytes)."""
    log = os.path.join(o.work, name + '.log')
    environment = dict(os.environ, OMP_NUM_THREADS=str(o.threads), MKL_NUM_THREADS=str(o.threads))
    peak = run([o.python, o.script, o.data, os.path.join(o.work, out), *words], environment, log)
    return open(log).read(), peak


def rows_in(o):
    """How many training rows DATA has for this recipe, from pefomed itself."""
    text = open(o.recipe).read()
    dataset = re.search(r'dataset:\s*([\w-]+)', text)[1]
    language = re.search(r'language:\s*(en|zh)\b', text)
    rows = json.load(open(os.path.join(o.data, 'train.json'))) if dataset in ('slake', 'phantom') else None
    if rows is None:
        sys.exit('peer.py: knows data in the layout of SLAKE only')
    return sum(1 for r in rows if language is None or r.get('q_lang', language[1]) == language[1])


def train(o, steps, name, environment):
    """(the run's folder, peak bytes) of pefomed training so many steps."""
    out = os.path.join(o.work, name)
    shutil.rmtree(out, ignore_errors=True)
    epochs = (steps * o.batch + 0.5) / rows_in(o)
    command = [o.pefomed, 'train', o.recipe, '--data', o.data, '--out', out, '--threads', str(o.threads),
               '--set', f'train.epochs={epochs:.9f}', '--set', 'train.validate_limit=1']
    for setting in o.set:
        command += ['--set', setting]
    return out, run(command, environment, out + '.log')


def ours(o, steps, name):
    """(samples/s and tokens/s of the second half, peak bytes, steps made) of pefomed."""
    out, peak = train(o, steps, name, dict(os.environ))
    log = [json.loads(line) for line in open(os.path.join(out, 'log.jsonl'))]
    half = log[math.ceil(len(log) / 2) - 1]
    seconds = log[-1]['seconds'] - half['seconds'] if len(log) > 1 else math.nan
    return (log[-1]['samples'] - half['samples']) / seconds, (log[-1]['tokens'] - half['tokens']) / seconds, peak, len(log)


def theirs(o, steps, name):
    """(samples/s and tokens/s of the second half, peak bytes) of the peer."""
    said, peak = run_peer(o, 'peer', ['--steps', str(steps), '--no-eval'], name)
    samples, tokens = re.search(r'second half: ([\d.]+) samples/s ([\d.]+) tokens/s', said).groups()
    return float(samples), float(tokens), peak


def cold_home(o):
    """A PEFOMED_HOME with the weights of the usual one and no features."""
    usual = os.environ.get('PEFOMED_HOME') or os.path.expanduser('~/.cache/pefomed')
    home = os.path.join(o.work, 'home')
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    for name in os.listdir(usual):
        if name != 'features':
            os.symlink(os.path.join(os.path.abspath(usual), name), os.path.join(home, name))
    return home


def our_features(o):
    """Images/s of pefomed: the same training of one step twice, with the cache empty and then filled."""
    environment = dict(os.environ, PEFOMED_HOME=cold_home(o))
    seconds = []
    for name in ('cold', 'filled'):
        begun = time.monotonic()
        train(o, 1, name, environment)
        seconds.append(time.monotonic() - begun)
    images = len(os.listdir(os.path.join(environment['PEFOMED_HOME'], 'features')))
    return images / (seconds[0] - seconds[1])


def their_features(o):
    shutil.rmtree(os.path.join(o.work, 'peer-cold'), ignore_errors=True)
    said, _ = run_peer(o, 'peer-cold', ['--steps', '1', '--no-eval'], 'peer-cold')
    return 1 / float(re.search(r'features: \d+ images, ([\d.]+) s each', said)[1])


def our_answers(o, trained):
    log = os.path.join(o.work, 'answers.log')
    command = [o.pefomed, 'eval', trained, '--data', o.data, '--split', 'validate', '--limit', str(o.questions), '--threads', str(o.threads)]
    run(command + (['--weights', o.weights] if o.weights else []), dict(os.environ), log)
    return float(re.findall(r'([\d.]+) questions/s', open(log).read())[-1])


def their_answers(o):
    said, _ = run_peer(o, 'peer', ['--steps', str(o.steps), '--test-limit', str(o.questions)], 'peer-answers')
    return float(re.search(r'([\d.]+) questions/s', said)[1])


def compare(o, unit, mine, theirs_):
    mine(o)  # wakes the machine; the peer times itself, behind its start
    print(f'{"":<8}{unit:>14}')
    for _ in range(o.rounds):
        a, b = mine(o), theirs_(o)
        print(f'{"pefomed":<8}{a:14.2f}\n{"peer":<8}{b:14.2f}\n{"ratio":<8}{a / b:14.2f}', flush=True)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('script'), a.add_argument('python'), a.add_argument('data'), a.add_argument('work')
    a.add_argument('--steps', type=int, default=40), a.add_argument('--rounds', type=int, default=1)
    a.add_argument('--threads', type=int, default=2), a.add_argument('--batch', type=int, default=16)
    a.add_argument('--recipe', default='bench/recipes/slake.yaml'), a.add_argument('--pefomed', default='build/release/pefomed')
    a.add_argument('--set', action='append', default=[])
    a.add_argument('--measure', choices=['training', 'features', 'answers'], default='training')
    a.add_argument('--questions', type=int, default=160), a.add_argument('--weights')
    o = a.parse_args()
    os.makedirs(o.work, exist_ok=True)
    if o.measure == 'features':
        return compare(o, 'images/s', our_features, their_features)
    if o.measure == 'answers':
        trained, _ = train(o, o.steps, 'answers', dict(os.environ))
        return compare(o, 'questions/s', lambda o: our_answers(o, trained), their_answers)
    ours(o, 1, 'warm'), theirs(o, 2, 'peer-warm')  # fills both caches of features
    print(f'{"":<8}{"samples/s":>12}{"tokens/s":>12}{"peak GiB":>12}')
    for round_number in range(o.rounds):
        *mine, made = ours(o, o.steps, f'ours-{round_number}')
        peer = theirs(o, o.steps, f'peer-{round_number}')
        for name, (samples, tokens, peak) in (('pefomed', mine), ('peer', peer)):
            print(f'{name:<8}{samples:12.2f}{tokens:12.1f}{peak / 2**30:12.2f}   ({made if name == "pefomed" else o.steps} steps)')
        print(f'{"ratio":<8}' + ''.join(f'{a / b:12.2f}' for a, b in zip(mine, peer)), flush=True)


main()
