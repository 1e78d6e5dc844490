#!/usr/bin/env python3
"""Speaks to `pefomed serve` as programs do, well-behaved ones and others.

usage: check_serve.py PEFOMED answers|names|errors|guard|limits|cancel|stop|tls

Works in the folder in which it is started, which holds the run `run` of make_tiny_training's, with p1.png and scan.dcm.
"""
import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse


def check(what, right):
    if not right:
        sys.exit(f'FAILED: {what}')
    print(f'ok: {what}')


class Serve:
    """`pefomed serve run` on a port that is free; ended with the block."""

    def __init__(self, program, *options, env=None, run='run'):
        self.process = subprocess.Popen([program, 'serve', run, '--port', '0', '--quiet', *options], stdout=subprocess.PIPE,
                                        stderr=open('serve.err', 'w'), text=True, env={**os.environ, **(env or {})})
        self.address = self.process.stdout.readline().strip()
        check('the first line is the address', self.address.startswith('http://') and self.address.endswith('/'))
        self.host = urllib.parse.urlsplit(self.address).netloc
        self.headers = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, headers=None):
        """(status, headers, JSON or text)"""
        connection = http.client.HTTPConnection(self.host, timeout=120)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, {**self.headers, **(headers or {})})
        reply = connection.getresponse()
        text = reply.read()
        connection.close()
        kind = reply.getheader('Content-Type', '')
        return reply.status, reply.headers, json.loads(text) if kind == 'application/json' and text else text.decode()

    def ready(self):
        while self.call('GET', '/health')[0] != 200:
            time.sleep(0.02)

    def raw(self, request, wait=20):
        """What comes back for these bytes, until the server closes or says nothing for a while."""
        host, port = self.host.split(':')
        with socket.create_connection((host, int(port)), timeout=wait) as s:
            s.sendall(request)
            out = b''
            try:
                while part := s.recv(65536):
                    out += part
            except (TimeoutError, ConnectionResetError):
                pass
            return out


def uri(path, kind='image/png'):
    return f'data:{kind};base64,' + base64.b64encode(pathlib.Path(path).read_bytes()).decode()


def image(path, **more):
    return {'type': 'image_url', 'image_url': {'url': uri(path), **more}}


def ask(text, *images, model='run', **more):
    return {'model': model, 'messages': [{'role': 'user', 'content': [{'type': 'text', 'text': text}, *images]}], **more}


def events(text):
    lines = [line for line in text.split('\n') if line]
    check('every event is one data line', all(line.startswith('data: ') for line in lines) and lines[-1] == 'data: [DONE]')
    return [json.loads(line[6:]) for line in lines[:-1]]


def said(program, *words):
    return json.loads(subprocess.run([program, 'ask', 'run', *words, '--json', '--quiet'], check=True, capture_output=True).stdout)


def part_answers(program):
    with Serve(program) as s:
        s.ready()
        status, _, models = s.call('GET', '/v1/models')
        names = [m['id'] for m in models['data']]
        check('the run comes first, then the base by the name of its folder', status == 200 and names == ['run', 'llama'])
        about = s.call('GET', '/api/about')[2]
        check('nobody is told where that lies', [m['id'] for m in about['models']] == names and 'golden' not in json.dumps([about, models]))
        check('one model by its name', s.call('GET', '/v1/models/run')[2] == models['data'][0])
        alone = said(program, 'p1.png', 'Where?', '--max-tokens', '6')
        status, head, whole = s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=6))
        check('a whole answer is that of ask', status == 200 and whole['choices'][0]['message'] == {'role': 'assistant', 'content': alone['answer'],
                                                                                                   'refusal': None})
        check('its probability too', abs(whole['pefomed']['probability'][0] - alone['probability']) < 1e-12)
        check('tokens are counted', whole['usage']['completion_tokens'] == alone['tokens'] and
              whole['usage']['total_tokens'] == whole['usage']['prompt_tokens'] + alone['tokens'])
        check('nobody keeps it', head['Cache-Control'] == 'no-store' and head['X-Content-Type-Options'] == 'nosniff')
        status, head, text = s.call('POST', '/v1/chat/completions',
                                    ask('Where?', image('p1.png'), max_tokens=6, stream=True, stream_options={'include_usage': True}, logprobs=True))
        chunks = events(text)
        pieces = ''.join(c['choices'][0]['delta'].get('content', '') for c in chunks if c['choices'])
        check('a streamed answer is the same', head['Content-Type'].startswith('text/event-stream') and pieces == alone['answer'])
        check('its first event says who speaks, its last how it ended', chunks[0]['choices'][0]['delta']['role'] == 'assistant' and
              chunks[-2]['choices'][0]['finish_reason'] in ('stop', 'length') and chunks[-1]['usage'] == whole['usage'])
        probabilities = [t['logprob'] for c in chunks if c['choices'] and c['choices'][0]['logprobs'] for t in c['choices'][0]['logprobs']['content']]
        check('token by token its probability is that of the whole', len(probabilities) == alone['tokens'] and
              abs(sum(probabilities) - __import__('math').log(alone['probability'])) < 1e-4)
        status, _, two = s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=6, n=3, temperature=1, seed=5))
        again = s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=6, n=3, temperature=1, seed=5))[2]
        check('several answers, and equal seeds draw equally', len(two['choices']) == 3 and two['choices'] == again['choices'])
        other = said(program, 'p1.png', 'Where?', '--max-tokens', '6', '--adapter', 'none')
        base = s.call('POST', '/v1/chat/completions', ask('Look at the image and answer: Where?', image('p1.png'), model=names[1], max_tokens=6))
        check('the base is asked without the instruction', base[0] == 200 and base[2]['choices'][0]['message']['content'] == other['answer'])
        window = {'type': 'file', 'file': {'file_data': uri('scan.dcm', 'application/dicom'), 'filename': 'x.dcm', 'window': '100,2000'}}
        shown = s.call('POST', '/v1/chat/completions', ask('Where?', window, max_tokens=6))[2]['pefomed']['images'][0]
        check('DICOM, and how it was shown', shown['kind'] == 'DICOM' and shown['center'] == 100 and shown['width'] == 2000)
        turns = [{'role': 'user', 'content': [image('p1.png'), {'type': 'text', 'text': 'Where?'}]}, {'role': 'assistant', 'content': 'Left.'},
                 {'role': 'user', 'content': 'Why?'}]
        status, _, talk = s.call('POST', '/v1/chat/completions', {'model': 'run', 'messages': turns, 'max_tokens': 6})
        check('a conversation', status == 200 and talk['usage']['prompt_tokens'] > whole['usage']['prompt_tokens'])
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            many = list(pool.map(lambda _: s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=6))[2], range(48)))
        check('48 from 16 at once, each as alone', all(m['choices'][0] == whole['choices'][0] for m in many))
        metrics = s.call('GET', '/metrics')[2]
        check('the metrics count them', 'pefomed_requests_total{route="chat_completions",status="2xx"} ' in metrics and
              'pefomed_first_token_seconds_count ' in metrics)


def refused(s, what, status, code, method, path, body=None, headers=None):
    return refusal(what, status, code, *s.call(method, path, body, headers))


def refusal(what, status, code, got, head, reply):
    error = reply['error'] if isinstance(reply, dict) else None
    check(f'{what}: {status} {code}', got == status and error is not None and error['code'] == code and error['message'] and error['type'])
    return head


def part_names(program):
    """A run that is called as its base."""
    os.rename('run', 'llama')
    with Serve(program, run='llama') as s:
        s.ready()
        check('run and base have names of their own', [m['id'] for m in s.call('GET', '/v1/models')[2]['data']] == ['llama', 'llama-base'])
        check('and answer by them', [s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), model=m, max_tokens=2))[0] for m in ('llama', 'llama-base')] == [200] * 2)


def part_errors(program):
    with Serve(program) as s:
        s.ready()
        chat = '/v1/chat/completions'
        refused(s, 'an unknown path', 404, 'unknown_path', 'GET', '/v1/nothing')
        refused(s, 'a path with tricks', 404, 'unknown_path', 'GET', '/v1/models/../../etc/passwd')
        refused(s, 'an encoded one', 404, 'unknown_path', 'GET', '/page/..%2f..%2fetc%2fpasswd')
        refused(s, 'a name that is cut within a character', 404, 'model_not_found', 'GET', '/v1/models/a' + '%F0%9D%95%BF' * 100)
        refused(s, 'an unknown model', 404, 'model_not_found', 'GET', '/v1/models/none')
        refused(s, 'an unknown model that is asked', 404, 'model_not_found', 'POST', chat, ask('Where?', image('p1.png'), model='none'))
        check('a wrong method: 405 with Allow', refused(s, 'a wrong method', 405, 'method_not_allowed', 'GET', chat)['Allow'] == 'POST')
        refused(s, 'no JSON', 400, None, 'POST', chat, '{"model":')
        refused(s, 'an unknown key', 400, None, 'POST', chat, {**ask('Where?', image('p1.png')), 'temprature': 1})
        refused(s, 'no image', 400, None, 'POST', chat, ask('Where?', {'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,AAAA'}}))
        refused(s, 'an address', 400, None, 'POST', chat, ask('Where?', {'type': 'image_url', 'image_url': {'url': 'http://127.0.0.1:1/a.png'}}))
        refused(s, 'a frame that is not there', 400, None, 'POST', chat, ask('Where?', image('p1.png', frame=3)))
        refused(s, 'a window that is none', 400, None, 'POST', chat, ask('Where?', image('p1.png', window='lungs')))
        refused(s, 'more tokens than the server makes', 400, 'too_many_tokens', 'POST', chat, ask('Where?', image('p1.png'), max_tokens=5000))
        refused(s, 'a prompt that is too long', 400, 'context_length_exceeded', 'POST', chat, ask('Where? ' * 5000, image('p1.png')))
        refused(s, 'more marks than images', 400, None, 'POST', chat, ask('Is <image> as <image>?', image('p1.png')))
        for name, request in {'no HTTP': b'hello\r\n\r\n', 'half a head': b'GET /health HT', 'a negative length': b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n',
                              'a huge head': b'GET /health HTTP/1.1\r\nHost: localhost\r\n' + b'X: ' + b'y' * 200000 + b'\r\n\r\n',
                              'NUL in the path': b'GET /he\0alth HTTP/1.1\r\nHost: localhost\r\n\r\n',
                              'chunks that are none': b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'}.items():
            reply = s.raw(request, 1)
            check(f'{name}: nothing that was asked for', b' 200 ' not in reply.split(b'\r\n')[0])
        check('and it still answers', s.call('GET', '/health')[0] == 200)
        log = pathlib.Path('serve.err').read_text()
        check('nothing on stderr', log == '')


def part_guard(program):
    token = 'a-token-of-the-test'
    with Serve(program, env={'PEFOMED_TOKEN': token}) as s:
        check('health needs no token', s.call('GET', '/health')[0] in (200, 503))
        for given in (None, 'Bearer wrong-token', f'Bearer {token}x', f'Bearer {token[:-1]}', 'Bearer ', f'Basic {token}', token):
            for path in ('/v1/models', '/metrics', '/nothing'):
                head = refused(s, f'{given} at {path}', 401, 'invalid_api_key', 'GET', path, headers={'Authorization': given} if given else {})
                check('how to show one', head['WWW-Authenticate'] == 'Bearer')
        s.headers = {'Authorization': f'Bearer {token}'}
        s.ready()
        check('the token opens', s.call('GET', '/v1/models')[0] == 200)
        for origin in ('http://evil.example', 'null', f'https://{s.host}.evil.example', 'http://127.0.0.1:1'):
            refused(s, f'a page of {origin}', 403, 'cross_site', 'GET', '/v1/models', headers={'Origin': origin})
        check('its own page', s.call('GET', '/v1/models', headers={'Origin': f'http://{s.host}'})[0] == 200)
        refused(s, 'what a browser says is of another site', 403, 'cross_site', 'GET', '/v1/models', headers={'Sec-Fetch-Site': 'cross-site'})
        refused(s, 'a name that was made to point here', 403, 'forbidden_host', 'GET', '/v1/models', headers={'Host': 'evil.example'})
        for name in ('localhost', '127.0.0.1', '[::1]:8080', f'localhost:{s.host.split(":")[1]}'):
            check(f'asked as {name}', s.call('GET', '/v1/models', headers={'Host': name})[0] == 200)
    done = subprocess.run([program, 'serve', 'run', '--host', '0.0.0.0', '--port', '0', '--quiet'], capture_output=True, text=True)
    check('other machines want a token', done.returncode == 2 and 'give a token' in done.stderr)
    done = subprocess.run([program, 'serve', 'run', '--token', 'short', '--quiet'], capture_output=True, text=True)
    check('a short token is refused', done.returncode == 2 and 'could be guessed' in done.stderr)


def at_once(s, count):
    """The replies to so many requests for eight answers of 400 tokens each."""
    def one(_):
        return s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=400, n=8))
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def part_limits(program):
    with Serve(program, '--max-body', '1', '--max-images', '2', '--max-waiting', '3', '--max-tokens', '65536') as s:
        s.ready()
        chat = '/v1/chat/completions'
        refused(s, 'a body that is too large', 413, 'request_too_large', 'POST', chat, b'x' * 1100000)
        head = b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
        reply = s.raw(head + b'10000\r\n' .join([b''] + [b'x' * 65536 + b'\r\n'] * 20) + b'0\r\n\r\n')
        check('the same in chunks', b' 413 ' in reply.split(b'\r\n')[0])
        reply = s.raw(b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n', 5)
        check('a length alone is enough', b' 413 ' in reply.split(b'\r\n')[0])
        slow, host = [], s.host.split(':')
        for _ in range(50):  # bodies that do not end, of which four are all that is kept, once they have been read so far
            one = socket.create_connection((host[0], int(host[1])))
            one.sendall(b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n' + b'x' * 900000)
            slow.append(one)
            got = s.call('POST', chat, b'x' * 900000)
            if got[0] == 503:
                break
        head = refusal('no room for another body', 503, 'overloaded', *got)
        check('and when to try again', head['Retry-After'] == '1')
        for one in slow:
            one.close()
        refused(s, 'more images', 400, None, 'POST', chat, ask('Where?', *[image('p1.png')] * 3))
        got = at_once(s, 24)
        late = [reply for reply in got if reply[0] == 503]
        check('where many wait, more are sent away', late and all(r[2]['error']['code'] == 'overloaded' and r[1]['Retry-After'] == '1' for r in late))
        check('and the others are answered', len(got) > len(late) and all(r[0] in (200, 503) for r in got))
    with Serve(program, '--max-seconds', '1', '--max-waiting', '1000', '--max-connections', '1000') as s:
        s.ready()
        for many in (16, 64, 256, 900):  # until they are more than can be answered in a second
            late = [reply for reply in at_once(s, many) if reply[0] != 200]
            if late:
                break
        check('what takes longer than it may is given up', late and all(r[0] == 504 and r[2]['error']['code'] == 'timeout' and 'the 1 seconds' in r[2]['error']['message'] for r in late))
        check('and what follows is answered', s.call('POST', chat, ask('Where?', image('p1.png'), max_tokens=1))[0] == 200)


def part_stop(program):
    """The run makes answers of 400 tokens."""
    with Serve(program) as s:
        s.ready()
        body = json.dumps(ask('Where?', image('p1.png'), max_tokens=400, n=8, stream=True))
        connection = http.client.HTTPConnection(s.host, timeout=60)
        connection.request('POST', '/v1/chat/completions', body)
        reply = connection.getresponse()
        first = reply.readline()
        s.process.send_signal(signal.SIGTERM)
        rest = reply.read()
        check('SIGTERM: what runs is finished', first.startswith(b'data: ') and rest.endswith(b'data: [DONE]\n\n') and rest.count(b'"length"') == 8)
        check('and then it exits with 0', s.process.wait(20) == 0)
    with Serve(program) as s:
        s.ready()
        idle = socket.create_connection(s.host.split(':'))
        s.process.send_signal(signal.SIGTERM)
        check('a connection that asks nothing holds nobody up', s.process.wait(5) == 0)
        idle.close()


def part_cancel(program):
    """The run makes answers of 400 tokens."""
    with Serve(program, '--threads', '1') as s:
        s.ready()
        host, port = s.host.split(':')
        body = json.dumps(ask('Where?', image('p1.png'), max_tokens=400, n=8)).encode()
        head = b'POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % len(body)
        sockets = [socket.create_connection((host, int(port))) for _ in range(32)]
        for one in sockets:
            one.sendall(head + body)
        for one in sockets:
            one.close()
        def figure(name):
            return float(next(line.split()[1] for line in s.call('GET', '/metrics')[2].split('\n') if line.startswith(f'pefomed_{name} ')))

        def generated():
            while figure('waiting') + figure('running') > 0:
                time.sleep(0.05)
            return figure('generated_tokens_total')
        before = generated()
        check('who hangs up is not answered to the end', figure('cancelled_total') > 0 and before < 32 * 8 * 400)
        for _ in range(5):  # until this client does not come late itself
            before = generated()
            sockets = [socket.create_connection((host, int(port))) for _ in range(8)]  # whose 64 answers are all made at once
            for one in sockets:
                one.sendall(head + body)
            while figure('generated_tokens_total') == before:
                pass
            for one in sockets:
                one.close()
            if figure('generated_tokens_total') - before < 8 * 8 * 400 / 4:
                break
        check('nor who does so while the answer comes', generated() - before < 8 * 8 * 400 / 2)
        check('and others are', s.call('POST', '/v1/chat/completions', ask('Where?', image('p1.png'), max_tokens=400))[0] == 200)


def part_tls(program):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'key.pem', '-out', 'cert.pem', '-days', '2', '-subj', '/CN=localhost', '-addext',
                    'subjectAltName=DNS:localhost'], check=True, capture_output=True)
    process = subprocess.Popen([program, 'serve', 'run', '--port', '0', '--quiet', '--tls-certificate', 'cert.pem', '--tls-key', 'key.pem'], stdout=subprocess.PIPE, text=True)
    try:
        address = process.stdout.readline().strip()
        check('the address says so', address.startswith('https://127.0.0.1:'))
        port = urllib.parse.urlsplit(address).port
        connection = http.client.HTTPSConnection('localhost', port, timeout=60, context=ssl.create_default_context(cafile='cert.pem'))
        connection.request('POST', '/v1/chat/completions', json.dumps(ask('Where?', image('p1.png'), max_tokens=6, stream=True)))
        check('an answer by TLS', connection.getresponse().read().endswith(b'data: [DONE]\n\n'))
        try:
            plain = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
            plain.request('GET', '/health')
            check('nothing without', plain.getresponse().status != 200)
        except (http.client.HTTPException, OSError):
            check('nothing without', True)
        process.terminate()
        check('and it ends with 0', process.wait(20) == 0)
    finally:
        process.kill()
    done = subprocess.run([program, 'serve', 'run', '--port', '0', '--quiet', '--tls-certificate', 'key.pem', '--tls-key', 'key.pem'], capture_output=True, text=True)
    check('a certificate that is none', done.returncode == 2 and 'must be PEM files' in done.stderr)


PARTS = {'tls': part_tls, 'cancel': part_cancel, 'stop': part_stop, 'names': part_names, 'answers': part_answers, 'errors': part_errors, 'guard': part_guard, 'limits': part_limits}

if __name__ == '__main__':
    PARTS[sys.argv[2]](sys.argv[1])
