#!/usr/bin/env python3
"""safetensors files for the cases of tests/cli, with nothing but Python's own library.

usage: tensors.py write FILE NAME:DTYPE:SHAPE[=v,v,...]...   I64 or F32; shape as 3x64x64; without values: i % 7 / 7 - 0.5
       tensors.py list FILE
       tensors.py compare|differ NAME A B BOUND              relative distance at most, or at least, BOUND
"""
import json
import math
import struct
import sys


def write(path, words):
    header, data = {}, b''
    for word in words:
        name, dtype, rest = word.split(':')
        shape, _, values = rest.partition('=')
        shape = [int(n) for n in shape.split('x')]
        count = math.prod(shape)
        values = [float(v) for v in values.split(',')] if values else [i % 7 / 7 - 0.5 for i in range(count)]
        code, values = ('q', [int(v) for v in values]) if dtype == 'I64' else ('f', values)
        body = struct.pack(f'<{count}{code}', *values)
        header[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [len(data), len(data) + len(body)]}
        data += body
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + data)


def read(path):
    """{name: (dtype, shape, bytes)}"""
    whole = open(path, 'rb').read()
    size, = struct.unpack('<Q', whole[:8])
    header = json.loads(whole[8:8 + size])
    return {name: (t['dtype'], t['shape'], whole[8 + size:][slice(*t['data_offsets'])])
            for name, t in header.items() if name != '__metadata__'}


def values(path, name):
    dtype, shape, data = read(path)[name]
    assert dtype == 'F32', dtype
    return struct.unpack(f'<{math.prod(shape)}f', data)


def main():
    what, *words = sys.argv[1:]
    if what == 'write':
        write(words[0], words[1:])
    elif what == 'list':
        for name, (dtype, shape, _) in sorted(read(words[0]).items()):
            print(name, dtype, shape)
    else:
        name, a, b = words[0], values(words[1], words[0]), values(words[2], words[0])
        apart = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / sum(y * y for y in b))
        bound = float(words[3])
        good = apart <= bound if what == 'compare' else apart >= bound
        print(f'{name}: {apart:.3g}, at {"most" if what == "compare" else "least"} {bound:g}')
        sys.exit(0 if good else 1)


main()
