#!/usr/bin/env python3
"""A stand-in for an OpenAI-compatible server that errs on purpose, for tests of the client. Its replies depend on what is asked and on --seed.

usage: stand_in.py PORT_FILE LOG [--fail P] [--stall P] [--nonsense P] [--refuse P] [--limit P] [--drop P] [--babble P] [--scores N] [--delay S] [--seed S]
           [--key KEY]

Listens on a port of its own at 127.0.0.1, which PORT_FILE then holds, until it is ended. Each request is a line of LOG: the hash of its body,
what was done, the SHA-256 of the images, how many requests are open, the time. With the probabilities given it answers 500 (--fail), nothing for long (--stall), what is no answer
(--nonsense: one of a page of HTML, half a JSON text, JSON of another shape, bytes, 20 MB), 400 (--refuse), 429 with Retry-After (--limit), or
closes the connection (--drop), or says what no verdict is (--babble); which depends on the seed, the body and how often it came. Otherwise the answer is "Of IMAGES images: HASH", or
what stands behind "say:" in the last text, or with --scores a verdict from 0 to N - 1, "Of IMAGES images: HASH" above it; where the request has a
response_format, a JSON object of its schema, "Of IMAGES images: HASH" in place of texts. With --scores a line of LOG
has the reply and the "item-NUMBER" that the text names first, too.
"""
import argparse
import base64
import hashlib
import http.server
import json
import os
import random
import re
import sys
import threading
import time

KINDS = ['fail', 'stall', 'nonsense', 'refuse', 'limit', 'drop', 'babble']
BABBLE = ['I cannot say.', 'Score: 99', 'Score: high', 'Score: -1', 'Score: 1 or 2', '', 'Score: 0.5', 'score 1', '{"score": 9}', '{"score": "3"}', '{"score": 1']
NONSENSE = [b'<html><body>Bad gateway</body></html>', b'{"choices": [{"message": {"content": "hal', b'{"choices": []}', b'[1, 2]', b'\xff\xfe\x00\x01' * 9,
            b'{"choices": [{"message": {"role": "assistant", "content": null}}]}', b'', b'x' * 20_000_000, b'{"choices": [{"message": {"content": "a\\u0000b"}}]}']


def parts_of(body):
    """(texts, images) of the messages; an image must be a data URI with a picture in it."""
    texts, images = [], []
    for message in body['messages']:
        content = message['content']
        for part in [{'type': 'text', 'text': content}] if isinstance(content, str) else content:
            if part['type'] == 'text':
                texts.append(part['text'])
                continue
            head, _, data = part['image_url']['url'].partition(';base64,')
            picture = base64.b64decode(data, validate=True)
            known = {'data:image/png': b'\x89PNG', 'data:image/jpeg': b'\xff\xd8\xff'}
            if not picture.startswith(known[head]):
                raise ValueError('a picture of another kind')
            images.append(hashlib.sha256(picture).hexdigest())
    return texts, images


def schema_of(body):
    """What the reply is held to, or None."""
    form = body.get('response_format')
    if form is None:
        return None
    return {'json_schema': lambda: form['json_schema']['schema'], 'json_object': lambda: form['schema']}[form['type']]()


def fill(schema, text, number):
    """A value of the schema: the text, or one of the numbers."""
    if schema['type'] == 'string':
        return text
    if schema['type'] == 'integer':
        return schema['enum'][number % len(schema['enum'])]
    if schema['required'] != list(schema['properties']) or schema['additionalProperties']:
        raise ValueError('an object that need not have all')
    return {name: fill(value, text, number) for name, value in schema['properties'].items()}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *arguments):
        pass

    def count(self, more):
        """One request more that is at work, or one less: it is none any more when its client can have heard of it."""
        with self.server.lock:
            self.server.now += more
            self.counted = more > 0

    def reply(self, status, data, headers=()):
        self.count(-1)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def choose(self, key):
        """What is done with a body that came for the n-th time."""
        o = self.server.options
        with self.server.lock:
            self.server.seen[key] = n = self.server.seen.get(key, 0) + 1
        rng = random.Random(f'{o.seed} {key} {n}')
        draw = rng.random()
        for kind in KINDS:
            draw -= getattr(o, kind)
            if draw < 0:
                return kind, rng
        return 'answer', rng

    def note(self, key, done, images, **more):
        line = json.dumps({'key': key, 'done': done, 'images': images, 'now': self.server.now, 'time': time.time(), **more}) + '\n'
        with self.server.lock:
            os.write(self.server.log, line.encode())

    def do_POST(self):
        o = self.server.options
        data = self.rfile.read(int(self.headers['Content-Length']))
        key = hashlib.sha256(data).hexdigest()
        if o.bodies:
            with self.server.lock, open(o.bodies, 'ab') as file:
                file.write(data)
        body = json.loads(data)
        texts, images = parts_of(body)
        self.count(1)
        try:
            self.act(o, key, body, texts, images)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            if self.counted:
                self.count(-1)

    def act(self, o, key, body, texts, images):
        if self.path != '/v1/chat/completions':
            return self.reply(404, b'{"error": {"message": "no such path"}}')
        if o.key is not None and self.headers['Authorization'] != f'Bearer {o.key}':
            return self.reply(401, b'{"error": {"message": "wrong key"}}')
        kind, rng = self.choose(key)
        time.sleep(o.delay)
        if kind not in ('answer', 'babble'):
            self.note(key, kind, images)
        if kind == 'fail':
            self.reply(rng.choice([500, 502, 503]), b'{"error": {"message": "out of order"}}')
        elif kind == 'stall':
            time.sleep(30)
            self.close_connection = True
        elif kind == 'nonsense':
            self.reply(200, rng.choice(NONSENSE))
        elif kind == 'refuse':
            self.reply(400, b'{"error": "this is never answered"}')
        elif kind == 'limit':
            self.reply(429, b'slow down', [('Retry-After', '1')])
        elif kind == 'drop':
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            said = texts[-1].partition('say:')[2] if texts else ''
            text = said or f'Of {len(images)} images: {key[:12]}'
            more = {}
            if kind == 'babble':
                text = f'{rng.choice(BABBLE)}\n{text}'
            elif schema_of(body) is not None:
                text = json.dumps(fill(schema_of(body), text, int(key[:8], 16)))
            elif o.scores > 0:
                text = f'{text}\nScore: {int(key[:8], 16) % o.scores}'
            if o.scores > 0:
                more = {'text': text, 'item': re.search(r'item-\d+', texts[-1])[0]}
            answer = {'choices': [{'index': 0, 'message': {'role': 'assistant', 'content': text},
                                   'finish_reason': 'length' if 'cut short' in text else 'stop'}],
                      'model': body['model'], 'usage': {'prompt_tokens': 7, 'completion_tokens': 3, 'total_tokens': 10}}
            self.note(key, kind, images, **more)
            self.reply(200, json.dumps(answer).encode(), [('Content-Type', 'application/json')])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256  # of a client that asks many at once

    def handle_error(self, request, address):  # a client that was killed has hung up
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, address)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('port_file'), a.add_argument('log')
    for kind in KINDS:
        a.add_argument(f'--{kind}', type=float, default=0)
    a.add_argument('--scores', type=int, default=0)
    a.add_argument('--delay', type=float, default=0), a.add_argument('--seed', type=int, default=1), a.add_argument('--key'), a.add_argument('--bodies')
    o = a.parse_args()
    server = Server(('127.0.0.1', 0), Handler)
    server.options, server.lock, server.seen = o, threading.Lock(), {}
    server.now = 0
    server.log = os.open(o.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    with open(o.port_file + '.new', 'w') as file:
        file.write(str(server.server_address[1]))
    os.rename(o.port_file + '.new', o.port_file)
    server.serve_forever()


sys.exit(main())
