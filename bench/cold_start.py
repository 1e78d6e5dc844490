#!/usr/bin/env python3
"""Seconds from the command `pefomed ask RUN IMAGE QUESTION` to the first byte of its answer and to its end, each in a new process.

usage: cold_start.py RUN IMAGE QUESTION [--rounds 10] [--pefomed build/release/pefomed] [ask's options...]
"""
import argparse
import statistics
import subprocess
import sys
import time


def once(command):
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    first = process.stdout.read(1)
    seconds = time.monotonic() - begun
    process.stdout.read()
    if process.wait() != 0 or first == b'':
        sys.exit(f'cold_start.py: failed: {" ".join(command)}')
    return seconds, time.monotonic() - begun


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('run'), a.add_argument('image'), a.add_argument('question')
    a.add_argument('--rounds', type=int, default=10), a.add_argument('--pefomed', default='build/release/pefomed')
    o, more = a.parse_known_args()
    command = [o.pefomed, 'ask', o.run, o.image, o.question, *more]
    for name, seconds in zip(('first token', 'end'), zip(*(once(command) for _ in range(o.rounds)))):
        print(f'{name:<12}{min(seconds):6.2f} to {max(seconds):.2f} s, median {statistics.median(seconds):.2f}')


main()
