#!/usr/bin/env python3
"""Loads `pefomed serve` with questions about real images, over loopback.

usage: serve.py throughput RUN SLAKE [--questions 256] [--clients 16] [--gguf MODEL.gguf]
       serve.py load RUN SLAKE [--seconds 600] [--clients 64] [--dicom FOLDER]
       serve.py cold RUN SLAKE [--rounds 5]
       more: [--pefomed build/release/pefomed] [--threads 2] [--seed 1]

throughput  the same questions of the split `validate`, all of an image's one after the other, once one at a time and once by so many clients at
            once; each with features that were never computed. With --gguf the base is asked texts of the same lengths beside `python -m
            llama_cpp.server` (PyPI: llama-cpp-python[server]) with the same language model, by as many clients
load        clients that ask, stream, hang up in the middle and talk rubbish, at random, for so long; counts every error that is not theirs,
            the process' memory, and the time to the first token
cold        from the start of the process to the first page, and to the end of the first answer
"""
import argparse
import base64
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse


class Serve:
    def __init__(self, o, *more, home=None):
        environment = {**os.environ, **({'PEFOMED_HOME': home} if home else {})}
        self.begun = time.monotonic()
        self.process = subprocess.Popen([o.pefomed, 'serve', o.run, '--port', '0', '--threads', str(o.threads), '--quiet', *more], stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.host = urllib.parse.urlsplit(self.process.stdout.readline().strip()).netloc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ready(self):
        while Client(self.host).call('GET', '/health')[0] != 200:
            time.sleep(0.01)

    def memory(self):
        for line in open(f'/proc/{self.process.pid}/status'):
            if line.startswith('VmRSS'):
                return int(line.split()[1]) / 1024

    def figure(self, name):
        text = Client(self.host).call('GET', '/metrics')[1].decode()
        return float(next(line.split()[1] for line in text.split('\n') if line.startswith(f'pefomed_{name} ')))


class Client:
    """One connection that is kept."""

    def __init__(self, host):
        self.connection = http.client.HTTPConnection(host, timeout=300)

    def call(self, method, path, body=None):
        self.connection.request(method, path, body, {'Content-Type': 'application/json'} if body else {})
        reply = self.connection.getresponse()
        return reply.status, reply.read()


def questions(folder, count):
    """[(image's bytes, question)]: whole images of SLAKE's English validation split."""
    folder = pathlib.Path(folder)
    rows = [row for row in json.load(open(folder / 'validate.json')) if row['q_lang'] == 'en']
    kept = {}
    out = []
    for row in rows[:count]:
        path = folder / 'imgs' / row['img_name']
        kept.setdefault(path, path.read_bytes())
        out.append((kept[path], row['question']))
    return out, len(kept)


def body_of(picture, text, model, **more):
    url = 'data:image/jpeg;base64,' + base64.b64encode(picture).decode()
    return json.dumps({'model': model, 'messages': [{'role': 'user', 'content': [{'type': 'image_url', 'image_url': {'url': url}},
                                                                                {'type': 'text', 'text': text}]}], **more})


def ask_all(host, bodies, clients):
    """Seconds, and the answers in their order."""
    local = threading.local()

    def one(body):
        if not hasattr(local, 'client'):
            local.client = Client(host)
        status, reply = local.client.call('POST', '/v1/chat/completions', body)
        if status != 200:
            sys.exit(f'{status}: {reply[:200]}')
        return json.loads(reply)

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(one, bodies))
    return time.monotonic() - begun, answers


def throughput(o):
    asked, pictures = questions(o.slake, o.questions)
    model = pathlib.Path(o.run.rstrip('/')).name.removesuffix('.yaml')
    bodies = [body_of(picture, text, model) for picture, text in asked]
    print(f'{len(bodies)} questions about {pictures} images')
    seconds, said = {}, {}
    for clients in (1, o.clients):
        with Serve(o) as s:
            s.ready()
            ask_all(s.host, bodies[:1], 1)
            seconds[clients], answers = ask_all(s.host, bodies, clients)
            said[clients] = [a['choices'][0]['message']['content'] for a in answers]
            print(f'{clients:3} clients: {seconds[clients]:7.2f} s, {len(bodies) / seconds[clients]:7.1f} answers/s, features computed '
                  f'{s.figure("features_computed_total"):.0f}, prompt tokens read {s.figure("prompt_tokens_total"):.0f}, shared '
                  f'{s.figure("prompt_tokens_shared_total"):.0f}', flush=True)
    same = sum(a == b for a, b in zip(*said.values()))
    print(f'{o.clients} clients: {seconds[1] / seconds[o.clients]:.2f} times one at a time; {same} of {len(bodies)} answers are the same text')
    if o.gguf:
        beside(o, asked)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def beside(o, asked):
    """The same texts, without images, 32 tokens each, to both servers."""
    texts = [f'Findings of the examination, in order: {i}. {text} Explain in detail.' for i, (_, text) in enumerate(asked)]
    port = free_port()
    theirs = subprocess.Popen([sys.executable, '-m', 'llama_cpp.server', '--model', o.gguf, '--port', str(port), '--n_threads', str(o.threads), '--n_ctx', '2048'],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                Client(f'127.0.0.1:{port}').call('GET', '/v1/models')
                break
            except OSError:
                time.sleep(0.2)
        with Serve(o, '--weights', 'q4_1') as s:
            s.ready()
            names = [m['id'] for m in json.loads(Client(s.host).call('GET', '/v1/models')[1])['data']]
            for clients in (1, o.clients):
                rates = []
                for host, model in ((f'127.0.0.1:{port}', 'm'), (s.host, names[1])):
                    bodies = [json.dumps({'model': model, 'messages': [{'role': 'user', 'content': text}], 'max_tokens': 32, 'temperature': 0})
                              for text in texts[:32]]
                    seconds, answers = ask_all(host, bodies, clients)
                    rates.append(sum(a['usage']['completion_tokens'] for a in answers) / seconds)
                print(f'{clients:3} clients, texts: llama.cpp {rates[0]:7.1f} tokens/s, pefomed {rates[1]:7.1f}, ratio {rates[1] / rates[0]:.2f}', flush=True)
    finally:
        theirs.kill()


RUBBISH = [b'\x16\x03\x01\x02\x00\x01\x00\x01', b'GET / HTTP/9.9\r\n\r\n', b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"half":',
           b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12\r\n\r\n{"model": 7}', b'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: ' + b'y' * 100000]


def talk(o, s, bodies, model, chance, until, seen, firsts, lock):
    """One client, who does a thing after the other."""
    host, port = s.host.split(':')
    while time.monotonic() < until:
        what = chance.choices(('ask', 'stream', 'leave', 'rubbish', 'wrong'), (4, 4, 1, 1, 1))[0]
        note = what
        try:
            if what == 'rubbish':
                with socket.create_connection((host, int(port)), timeout=5) as raw:
                    raw.sendall(chance.choice(RUBBISH))
                    if chance.random() < 0.5:
                        raw.settimeout(0.2)
                        raw.recv(1000)
            elif what == 'wrong':
                status, _ = Client(s.host).call('POST', '/v1/chat/completions', chance.choice(('{', '{"model":"none","messages":[]}', '[]')))
                note = what if status == 400 else f'wrong: {status}'
            else:
                body = json.loads(chance.choice(bodies))
                body.update(stream=what != 'ask', model=chance.choice(model), max_tokens=chance.randint(1, 48))
                connection = http.client.HTTPConnection(s.host, timeout=300)
                begun = time.monotonic()
                connection.request('POST', '/v1/chat/completions', json.dumps(body))
                if what == 'leave':
                    time.sleep(chance.random())
                    connection.close()
                else:
                    reply = connection.getresponse()
                    if what == 'stream' and reply.status == 200:
                        while True:
                            line = reply.readline()
                            if b'"content":"' in line and b'"content":""' not in line:
                                with lock:
                                    firsts.append(time.monotonic() - begun)
                                break
                            if not line:
                                break
                    text = reply.read()
                    good = reply.status == 200 and (text.endswith(b'[DONE]\n\n') if what == 'stream' else json.loads(text)['choices'])
                    note = what if good else f'{what}: {reply.status} {text[:80]!r}'
                    connection.close()
        except (TimeoutError, ConnectionResetError, BrokenPipeError) as e:
            note = what if what in ('rubbish', 'leave') else f'{what}: {type(e).__name__}'
        except Exception as e:
            note = f'{what}: {type(e).__name__} {e}'
        with lock:
            seen[note] += 1


def load(o):
    asked, _ = questions(o.slake, 400)
    model = [pathlib.Path(o.run.rstrip('/')).name.removesuffix('.yaml')]
    bodies = [body_of(picture, text, model[0]) for picture, text in asked]
    for path in sorted(pathlib.Path(o.dicom).glob('*'))[:40] if o.dicom else []:
        if path.stat().st_size < 4 << 20:
            url = 'data:application/dicom;base64,' + base64.b64encode(path.read_bytes()).decode()
            bodies.append(json.dumps({'model': model[0], 'messages': [{'role': 'user', 'content': [{'type': 'file', 'file': {'file_data': url}}, {'type': 'text', 'text': 'What is seen?'}]}]}))
    seen, firsts, lock = collections.Counter(), [], threading.Lock()
    with Serve(o, '--max-waiting', '256') as s:
        s.ready()
        model += [m['id'] for m in json.loads(Client(s.host).call('GET', '/v1/models')[1])['data']][1:2]
        until = time.monotonic() + o.seconds
        workers = [threading.Thread(target=talk, args=(o, s, bodies, model, random.Random(o.seed * 1000 + i), until, seen, firsts, lock)) for i in range(o.clients)]
        for worker in workers:
            worker.start()
        held = []
        while time.monotonic() < until:
            time.sleep(min(10, max(0.1, until - time.monotonic())))
            held.append(s.memory())
        for worker in workers:
            worker.join()
        time.sleep(1)
        print(f'{o.clients} clients for {o.seconds} s: {sum(seen.values())} requests')
        for note, count in sorted(seen.items()):
            print(f'  {count:6} {note}')
        firsts.sort()
        if firsts:
            print(f'first token after {statistics.median(firsts):.2f} s (median), {firsts[int(len(firsts) * 0.95)]:.2f} s (95 of 100), {firsts[-1]:.2f} s at most')
        tenth = max(1, len(held) // 10)
        print('resident MiB: ' + ' '.join(f'{m:.0f}' for m in held[::tenth]) + f'; bound {s.figure("held_bytes") / 1048576:.0f} MiB held')
        print(f'waiting {s.figure("waiting"):.0f}, running {s.figure("running"):.0f} at the end; exit {s.process.poll()}')


def cold(o):
    asked, _ = questions(o.slake, 1)
    model = pathlib.Path(o.run.rstrip('/')).name.removesuffix('.yaml')
    pages, answers = [], []
    for _ in range(o.rounds):
        with Serve(o) as s:
            Client(s.host).call('GET', '/')
            pages.append(time.monotonic() - s.begun)
            status, _ = Client(s.host).call('POST', '/v1/chat/completions', body_of(*asked[0], model))
            answers.append(time.monotonic() - s.begun)
            assert status == 200
    for name, seconds in (('first page', pages), ('first answer', answers)):
        print(f'{name}: ' + ' '.join(f'{one:.3f}' for one in seconds) + ' s')


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('what', choices=('throughput', 'load', 'cold')), a.add_argument('run'), a.add_argument('slake')
    a.add_argument('--pefomed', default='build/release/pefomed'), a.add_argument('--threads', type=int, default=2), a.add_argument('--seed', type=int, default=1)
    a.add_argument('--questions', type=int, default=256), a.add_argument('--clients', type=int), a.add_argument('--gguf'), a.add_argument('--seconds', type=int, default=600)
    a.add_argument('--rounds', type=int, default=5), a.add_argument('--dicom')
    o = a.parse_args()
    o.clients = o.clients or (64 if o.what == 'load' else 16)
    {'throughput': throughput, 'load': load, 'cold': cold}[o.what](o)


main()
