#!/usr/bin/env python3
"""Sends images to `pefomed serve --dicom-port` with DCMTK's tools and looks at what comes back; speaks DICOMweb as a server.

usage: check_pacs.py PEFOMED answers|rules|away|killed|refused|bounds|secure|six|web

Works in the folder in which it is started, which holds the run `run` of make_tiny_training's.
"""
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import xml.etree.ElementTree

import nobody_scans

DEADLINE = 60


def check(what, right, more=''):
    if not right:
        sys.exit(f'FAILED: {what} {more}')
    print(f'ok: {what}')


def until(what, condition):
    """Waits until it is so."""
    end = time.monotonic() + DEADLINE
    while not (got := condition()):
        if time.monotonic() > end:
            sys.exit(f'FAILED: {what}: not within {DEADLINE} s\n{serve_log() if os.path.exists("serve.err") else ""}')
        time.sleep(0.05)
    print(f'ok: {what}')
    return got


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Serve:
    def __init__(self, program, rules, *options):
        pathlib.Path('rules.yaml').write_text(rules)
        self.log = open('serve.err', 'a')
        self.process = subprocess.Popen([program, 'serve', 'run', '--port', '0', '--dicom-port', '0', '--rules', 'rules.yaml', *options],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.address = self.process.stdout.readline().strip()
        line = self.process.stdout.readline()
        found = re.fullmatch(r'(dicom|dicom-tls)://PEFOMED@(127\.0\.0\.1|\[::1?\]):(\d+)\n', line)
        check('the second line is the DICOM address', found and (found[1] == 'dicom-tls') == ('--dicom-tls-key' in options), line)
        self.port = int(found[3])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check('it ends with 0', self.process.wait(60) == 0)

    def send(self, *files, title='PEFOMED', tool='storescu', calling='SCANNER', more=(), port=None):
        done = subprocess.run([tool, *more, '-aet', calling, '-aec', title, '127.0.0.1', str(port or self.port), *files], capture_output=True, text=True)
        return done.returncode

    def metrics(self):
        with urllib.request.urlopen(self.address + 'metrics', timeout=60) as reply:
            lines = reply.read().decode().splitlines()
        return {name.removeprefix('pefomed_dicom_'): float(value) for name, value in (line.split() for line in lines if line.startswith('pefomed_dicom_'))}

    def raw(self, request, wait=20.0):
        """What comes back for these bytes until the connection is closed; None where it stays open."""
        with socket.create_connection(('127.0.0.1', self.port), timeout=wait) as s:
            out = b''
            try:
                s.sendall(request)
                while part := s.recv(65536):
                    out += part
            except (BrokenPipeError, ConnectionResetError):
                pass
            except TimeoutError:
                return None
            return out


class Archive:
    """storescp in a folder."""

    def __init__(self, folder='got', port=None):
        self.folder, self.port = pathlib.Path(folder), port or free_port()
        self.folder.mkdir(exist_ok=True)
        self.process = subprocess.Popen(['storescp', '-aet', 'ARCHIVE', '-od', str(self.folder), str(self.port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def reports(self, count):
        """Their texts, as {heading: text}, once so many are there and whole."""
        files = until(f'{count} reports have arrived', lambda: len(list(self.folder.glob('SR*'))) >= count and sorted(self.folder.glob('SR*')))
        return [read_report(f) for f in files]


def read_report(path):
    for _ in range(40): # storescp may still be writing it
        done = subprocess.run(['dsr2xml', str(path)], capture_output=True)
        if done.returncode == 0:
            break
        time.sleep(0.05)
    check('the report is one that DCMTK reads', done.returncode == 0)
    texts = {}
    for text in xml.etree.ElementTree.fromstring(done.stdout).iter():
        if text.tag.split('}')[-1] == 'text':
            heading = next(c for c in text if c.tag.split('}')[-1] == 'concept')
            meaning = next(c.text for c in heading.iter() if c.tag.split('}')[-1] == 'meaning')
            texts[meaning] = next(c.text for c in text if c.tag.split('}')[-1] == 'value')
    texts['whole'] = done.stdout.decode()
    return texts


def words(text):
    """What a report keeps of an answer: control characters are blanks there."""
    return re.sub(r'[\x00-\x1f\x7f]', ' ', text).split() or ['(nothing', 'was', 'written)']


def ask(program, *words):
    return subprocess.run([program, 'ask', 'run', *words, '--quiet'], capture_output=True, text=True, check=True).stdout.strip()


def inbox():
    return sorted(pathlib.Path(os.environ['PEFOMED_HOME'], 'serve', 'inbox').iterdir())


def outbox():
    return sorted(pathlib.Path(os.environ['PEFOMED_HOME'], 'serve', 'outbox').iterdir())


RULES = 'wait: 0.3\nrules:\n  - questions: Where is the mass?\n    max_tokens: 6\n'


def answers(program):
    nobody_scans.image('a.dcm')
    with Archive() as archive, Serve(program, RULES, '--record', 'r.jsonl', '--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}') as serve:
        check('C-ECHO', subprocess.run(['echoscu', '-aec', 'PEFOMED', '127.0.0.1', str(serve.port)]).returncode == 0)
        check('storescu sends an image', serve.send('a.dcm') == 0)
        report = archive.reports(1)[0]
        check('it asks what the rule asks', report['Request'] == 'Where is the mass?', report)
        want = ask(program, 'a.dcm', 'Where is the mass?', '--max-tokens', '6')
        check('it answers as ask does', words(report['Finding']) == words(want), f'{report["Finding"]!r} {want!r}')
        check('it is of the patient and refers to the image', 'MARKED' in report['whole'] and '1.2.3.1.1' in report['whole'])
        until('nothing is kept', lambda: not inbox() and not outbox())
        for folder in ('inbox', 'outbox'):
            mode = pathlib.Path(os.environ['PEFOMED_HOME'], 'serve', folder).stat().st_mode & 0o777
            check(f'{folder} is private', mode == 0o700)
        check('dcmsend sends one in JPEG-LS', serve.send('a.dcm', tool='dcmsend') == 0)
        archive.reports(2)
        serve.stop()
    text = serve_log()
    check('the log says what was done', 'its report is at ARCHIVE@127.0.0.1' in text)
    check('and nothing of the patient', not re.search(r'MARKED|1\.2\.3\.1|1\.2\.3\b', text), text)
    entries = [json.loads(line) for line in pathlib.Path('r.jsonl').read_text().splitlines()]
    check('its answers are recorded', entries and all(e['command'] == 'serve dicom' for e in entries) and
          subprocess.run([program, 'audit', 'r.jsonl', '--quiet'], stdout=subprocess.DEVNULL).returncode == 0)


def rules(program):
    rule = '''wait: 0.3
rules:
  - {name: chest, modality: [CR, DX], body_part: CHEST, questions: [Is it large?, Where is it?], max_tokens: 5}
  - {name: brain, modality: MR, description: [head routine, BRAIN], questions: What is it?, slices: "1", max_tokens: 5, kind: enhanced}
  - {name: all, modality: US, series: all, report: true, indication: Pain, max_tokens: 5}
'''
    with Archive() as archive, Serve(program, rule, '--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}') as serve:
        nobody_scans.image('x.dcm', study='1.3.1', modality='DX', body_part='CHEST')
        serve.send('x.dcm')
        report = archive.reports(1)[0]
        check('several questions are numbered', report['Request'].split('\n')[0].strip() == '1. Is it large?' and '2. Where is it?' in report['Request'], report['Request'])
        first, second = (ask(program, 'x.dcm', q, '--max-tokens', '5') for q in ('Is it large?', 'Where is it?'))
        want = f'1. {first} 2. {second}'
        check('and so are their answers, each as alone', words(report['Finding']) == words(want), f'{report["Finding"]!r} {want!r}')

        shutil.rmtree('got'), os.mkdir('got')
        for i in range(5): # the scout matches too, and is smaller
            nobody_scans.image(f'm{i}.dcm', study='1.3.2', series='1.3.2.1', instance=f'1.3.2.1.{i + 1}', modality='MR', position=i * 3,
                              description='Brain T1', number=i + 1, value=100 * (5 - i))
        nobody_scans.image('scout.dcm', study='1.3.2', series='1.3.2.0', instance='1.3.2.0.1', modality='MR', position=0,
                          description='scout brain', value=900)
        check('dcmsend sends six images', serve.send('scout.dcm', *(f'm{i}.dcm' for i in (3, 1, 4, 0, 2)), tool='dcmsend') == 0)
        report = archive.reports(1)[0]
        check('the slice in the middle of the largest series is shown', '1.3.2.1.3' in report['whole'] and '1.3.2.1.1"' not in report['whole'] and '1.3.2.0.1' not in report['whole'])
        check('as an Enhanced SR', '1.2.840.10008.5.1.4.1.1.88.22' in report['whole'])
        want = ask(program, 'm2.dcm', 'What is it?', '--max-tokens', '5')
        check('which answers as ask does', words(report['Finding']) == words(want), f'{report["Finding"]!r} {want!r}')

        shutil.rmtree('got'), os.mkdir('got')
        for i in (1, 2):
            nobody_scans.image(f'u{i}.dcm', study='1.3.3', series=f'1.3.3.{i}', instance=f'1.3.3.{i}.1', modality='US', value=100 * i)
        serve.send('u1.dcm', 'u2.dcm')
        report = archive.reports(1)[0]
        check('all series are shown together', '1.3.3.1.1' in report['whole'] and '1.3.3.2.1' in report['whole'])
        check('and the indication stands in the report', 'Pain' in report['whole'])
        want = ask(program, 'u1.dcm', 'u2.dcm', 'Pain', '--max-tokens', '5')
        check('which is that of two images', words(report['Finding']) == words(want), f'{report["Finding"]!r} {want!r}')

        nobody_scans.image('n.dcm', study='1.3.4', modality='MR', description='brainstem')
        serve.send('n.dcm')
        until('what no rule is for is logged', lambda: 'no rule is for them' in serve_log())
        check('and returned to nobody', len(list(pathlib.Path('got').iterdir())) == 1)
        until('nothing is kept', lambda: not inbox() and not outbox())


def away(program):
    port = free_port()
    nobody_scans.image('a.dcm')
    with Serve(program, RULES, '--dicom-return', f'ARCHIVE@127.0.0.1:{port}') as serve:
        serve.send('a.dcm')
        until('a report that does not arrive is tried again', lambda: 'tried again in 4 seconds' in serve_log())
        check('and kept', len(outbox()) == 2 and not inbox())
        serve.process.kill()
    with Serve(program, RULES, '--dicom-return', f'ARCHIVE@127.0.0.1:{free_port()}'):
        time.sleep(0.5)
        with Archive(port=port) as archive:
            archive.reports(1)
            until('the next process delivers it, to where it was to go', lambda: not outbox())
    with Serve(program, 'give_up: 0.001\n' + RULES, '--dicom-return', f'ARCHIVE@127.0.0.1:{free_port()}') as serve:
        nobody_scans.image('b.dcm', study='1.2.4')
        serve.send('b.dcm')
        until('it is given up in the end', lambda: 'is given up after 0.001 hours' in serve_log())
        until('and no longer kept', lambda: not outbox())


def killed(program):
    """Twenty studies, a kill after each was acknowledged: every one is answered, once."""
    for i in range(20):
        nobody_scans.image(f'{i}.dcm', study=f'1.4.{i + 1}', series=f'1.4.{i + 1}.1', instance=f'1.4.{i + 1}.1.1', value=50 * i + 1)
    with Archive() as archive:
        back = ('--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}')
        for i in range(20):
            with Serve(program, RULES, *back) as serve:
                check(f'study {i} is acknowledged', serve.send(f'{i}.dcm') == 0)
                time.sleep(0.08 * i) # at any moment of receiving, answering and returning
                serve.process.send_signal(signal.SIGKILL)
        with Serve(program, RULES, *back):
            until('nothing waits', lambda: not inbox() and not outbox())
            reports = archive.reports(20)
    found = sorted(int(n) - 1 for r in reports for n in set(re.findall(r'1\.4\.(\d+)\.1\.1', r['whole'])))
    check('every study that was acknowledged was answered once', found == list(range(20)), found)


def associate(title='PEFOMED', calling='SCANNER', contexts=((1, '1.2.840.10008.1.1', ('1.2.840.10008.1.2',)),)):
    """A request for an association (PS3.8, 9.3.2)."""
    def item(kind, body):
        return struct.pack('>BBH', kind, 0, len(body)) + body
    body = struct.pack('>HH', 1, 0) + title.ljust(16).encode() + calling.ljust(16).encode('latin-1') + bytes(32)
    body += item(0x10, b'1.2.840.10008.3.1.1.1')
    for number, abstract, syntaxes in contexts:
        body += item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + b''.join(item(0x40, s.encode()) for s in syntaxes))
    body += item(0x50, item(0x51, struct.pack('>I', 16384)) + item(0x52, b'1.2.3.4'))
    return struct.pack('>BBI', 1, 0, len(body)) + body


def refused(program):
    small = nobody_scans.image('a.dcm')
    with Archive() as archive, Serve(program, RULES, '--dicom-allow', f'SCANNER@127.0.0.1:{archive.port}', '--dicom-max-object', '1', '--dicom-idle', '3') as serve:
        check('another title is rejected', serve.send('a.dcm', title='OTHER') != 0)
        check('a caller that is not named is rejected', serve.send('a.dcm', calling='STRANGER') != 0)
        check('a structured report is not taken', serve.send(*[str(p) for p in [make_report(program)]]) != 0)
        until('and the log says so', lambda: re.search(r'SCANNER@127\.0\.0\.1: 0 objects received, \w+; proposed and not taken, as images alone are: \w+', serve_log()))
        nobody_scans.image('large.dcm', study='1.5.1', side=1000)
        check('an object that is too large is not taken', serve.send('large.dcm') != 0)
        nobody_scans.image('nostudy.dcm', study='')
        check('one without a study is not taken', serve.send('nostudy.dcm', tool='dcmsend') != 0 or not inbox())
        until('the log has a line for each with the reason', lambda: all(what in serve_log() for what in (
              '0 objects received, 1 refused (1 too large), aborted', '0 objects received, 1 refused (1 without study or series, or not what was announced), released')))
        check('and nothing of the patient', 'MARKED' not in serve_log() and '1.5.1' not in serve_log(), serve_log())
        for what, bytes_ in (('rubbish', os.urandom(3000)), ('text', b'GET / HTTP/1.1\r\n\r\n'), ('a huge length', b'\1\0\xff\xff\xff\xff' + bytes(100)),
                             ('a short request', b'\1\0\0\0\0\4abcd'), ('an empty one', b'\1\0' + struct.pack('>I', 68) + bytes(68)),
                             ('data without an association', b'\4\0\0\0\0\6\0\0\0\2\1\3')):
            check(f'{what} ends the connection', serve.raw(bytes_) is not None)
        whole = associate()
        for data in (b'\4\0\xff\xff\xff\xff' + bytes(64), b'\4\0\0\0\0\6\0\0\0\2\1\3', b'\4\0\0\0\0\6\xff\xff\xff\xff\1\3', os.urandom(500), b'\7\0\0\0\0\4\0\0\0\0', b'\5\0\0\0\0\4\0\0\0\0' * 2):
            check('what is no message ends the association', serve.raw(whole + data) is not None)
        for cut in range(7, len(whole), 9): # each item of it damaged
            serve.raw(whole[:cut] + b'\xff' + whole[cut + 1:] + b'\7\0\0\0\0\4\0\0\0\0')
        many = associate(contexts=[(1 + 2 * i, f'1.2.840.10008.5.1.4.1.1.{i}', ['1.2.840.10008.1.2'] * 30) for i in range(120)])
        check('a large request is answered', serve.raw(many + b'\7\0\0\0\0\4\0\0\0\0')[:1] in (b'\2', b'\3'))
        idle = [socket.create_connection(('127.0.0.1', serve.port)) for _ in range(30)] # more than are served at once
        turned = until('those who are too many are answered', lambda: len(found := [s for s in idle if wait_for_bytes(s)]) >= 20 and found)
        check('and turned away', all(s.recv(16)[:1] == b'\3' for s in turned))
        for s in idle:
            s.close()
        until('and room is made again', lambda: serve.send('a.dcm') == 0)
        archive.reports(1)
        until('nothing is kept', lambda: not inbox() and not outbox())
        handles = len(os.listdir(f'/proc/{serve.process.pid}/fd'))
        for _ in range(50):
            serve.raw(os.urandom(200))
            serve.raw(whole + os.urandom(100))
        until('no handle is lost', lambda: len(os.listdir(f'/proc/{serve.process.pid}/fd')) <= handles + 2)
        serve.stop()
    with Archive() as archive, Serve(program, RULES, '--dicom-allow', f'SCANNER@127.0.0.2:{archive.port}') as serve:
        check('another address is not answered', serve.send(small) != 0 and serve.raw(whole) == b'')


def make_certificate(name, issuer=None):
    """NAME.pem and NAME.key, signed by itself or by another."""
    by = ['-CA', f'{issuer}.pem', '-CAkey', f'{issuer}.key'] if issuer else []
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', f'/CN={name}', '-out', f'{name}.pem', '-keyout', f'{name}.key', *by],
                   check=True, capture_output=True)


def secure(program):
    """The service through TLS, which storescu speaks too (+tla: without a certificate; +tls: with one)."""
    nobody_scans.image('a.dcm')
    for name in ('own', 'authority', 'stranger'):
        make_certificate(name)
    make_certificate('scanner', 'authority')
    tls = ('--dicom-tls-certificate', 'own.pem', '--dicom-tls-key', 'own.key')
    anonymous = ('+tla', '-ic')
    named = lambda who: ('+tls', f'{who}.key', f'{who}.pem', '-ic')
    with Archive() as archive:
        back = ('--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}', '--dicom-idle', '2')
        with Serve(program, RULES, *tls, *back) as serve:
            check('without TLS nothing is received', serve.send('a.dcm') != 0)
            check('storescu sends through TLS', serve.send('a.dcm', more=anonymous) == 0)
            archive.reports(1)
            check('and C-ECHO', subprocess.run(['echoscu', *anonymous, '-aec', 'PEFOMED', '127.0.0.1', str(serve.port)]).returncode == 0)
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            whole = associate(calling='A' * 16, contexts=[(1 + 2 * i, f'1.2.840.10008.5.1.4.1.1.{i}', ['1.2.840.10008.1.2'] * 30) for i in range(120)])
            for what, pieces in (('a large request in small records', [whole[i:i + 999] for i in range(0, len(whole), 999)]), ('in one', [whole])):
                with context.wrap_socket(socket.create_connection(('127.0.0.1', serve.port), timeout=20)) as s:
                    for piece in pieces:
                        s.sendall(piece)
                    check(f'{what} is answered', s.recv(10)[:1] == b'\2')
            for what, data in (('rubbish', os.urandom(500)), ('data without an association', b'\4\0\0\0\0\6\0\0\0\2\1\3'), ('a huge length', b'\1\0\xff\xff\xff\xff' + bytes(100)), ('half a request', whole[:500])):
                with context.wrap_socket(socket.create_connection(('127.0.0.1', serve.port), timeout=20)) as s:
                    s.sendall(data)
                    try:
                        check(f'{what} within TLS ends the connection', s.recv(10) == b'')
                    except (ConnectionResetError, ssl.SSLError):
                        check(f'{what} within TLS ends the connection', True)
            check('so does rubbish without', serve.raw(os.urandom(300)) is not None)
            silent = [socket.create_connection(('127.0.0.1', serve.port)) for _ in range(8)] # who shake no hands
            until('and silence, which then gives its place to others', lambda: serve.send('a.dcm', more=anonymous) == 0)
            handles = len(os.listdir(f'/proc/{serve.process.pid}/fd'))
            for s in silent:
                s.close()
            for _ in range(30):
                serve.raw(os.urandom(100))
            until('no handle is lost', lambda: len(os.listdir(f'/proc/{serve.process.pid}/fd')) <= handles)
            archive.reports(2)
            serve.stop()
        with Serve(program, RULES, *tls, '--dicom-tls-trust', 'authority.pem', *back) as serve:
            check('who must show a certificate, and has none, is refused', serve.send('a.dcm', more=anonymous) != 0)
            check('nor is one of a stranger taken', serve.send('a.dcm', more=named('stranger')) != 0)
            check('that of an authority is', serve.send('a.dcm', more=named('scanner')) == 0)
            archive.reports(3)
            serve.stop()
    for wrong in (('--dicom-tls-certificate', 'a.dcm', '--dicom-tls-key', 'own.key'), ('--dicom-tls-certificate', 'own.pem', '--dicom-tls-key', 'scanner.key'), (*tls, '--dicom-tls-trust', 'a.dcm'), tls[:2]):
        done = subprocess.run([program, 'serve', 'run', '--port', '0', '--dicom-port', '0', '--rules', 'rules.yaml', '--dicom-return', 'A@127.0.0.1:1', '--quiet', *wrong], capture_output=True, text=True)
        check('what is no certificate is told of', done.returncode == 2 and done.stderr.count('\n') == 1 and '--dicom-tls-' in done.stderr, done)


def six(program):
    """By IPv6, through which DCMTK's tools do not connect: their bytes are passed on."""
    nobody_scans.image('a.dcm')
    with Archive() as archive:
        back = ('--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}')
        for host, allowed, right in (('::1', (), True), ('::1', ('SCANNER@[::1]',), True), ('::1', ('SCANNER@127.0.0.1',), False), ('::', ('SCANNER@127.0.0.1', 'SCANNER@[::1]'), True)):
            allow = [word for one in allowed for word in ('--dicom-allow', one)]
            shutil.rmtree('got'), os.mkdir('got')
            with Serve(program, RULES, '--dicom-host', host, *allow, *back) as serve, Relay(serve.port) as relay:
                check(f'{host} {allowed}', (serve.send('a.dcm', port=relay.port) == 0) == right)
                if right:
                    archive.reports(1)
                    until('nothing waits', lambda: not inbox() and not outbox())
                if host == '::':
                    check('by IPv4 on the same port', serve.send('a.dcm') == 0)
                    archive.reports(2)
                    check('whose callers are called by that', 'SCANNER@127.0.0.1: 1 objects received' in serve_log() and 'SCANNER@::1: 1 objects received' in serve_log() and '::ffff' not in serve_log())
                serve.stop()
    for words, part in ((('--dicom-host', '::'), '--dicom-host :: is reached from other machines'), (('--dicom-allow', 'A@[::1]:104'), 'to which no results can be sent'), (('--dicom-allow', 'A@[x'), 'is no application entity')):
        done = subprocess.run([program, 'serve', 'run', '--port', '0', '--dicom-port', '0', '--rules', 'rules.yaml', '--dicom-return', 'A@127.0.0.1:1', '--quiet', *words], capture_output=True, text=True)
        check('what cannot be is told of', done.returncode == 2 and done.stderr.count('\n') == 1 and part in done.stderr, done)


class Relay:
    """Passes what comes by IPv4 on to a port by IPv6."""

    def __init__(self, to):
        self.to, self.listener = to, socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                one, other = self.listener.accept()[0], socket.create_connection(('::1', self.to))
            except OSError:
                return
            for a, b in ((one, other), (other, one)):
                threading.Thread(target=self.pass_on, args=(a, b), daemon=True).start()

    @staticmethod
    def pass_on(a, b):
        try:
            while part := a.recv(65536):
                b.sendall(part)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def serve_log():
    return pathlib.Path('serve.err').read_text()


def bounds(program):
    """What there is no room for is refused for now; patients who share a study's UID are kept apart; all of it is counted."""
    for i in (1, 2, 3):
        nobody_scans.image(f'{i}.dcm', study=f'1.6.{i}', series=f'1.6.{i}.1', instance=f'1.6.{i}.1.1')
    with Archive() as archive, Serve(program, RULES.replace('0.3', '3'), '--dicom-max-studies', '1', '--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}') as serve:
        for calling in ('A\nstudy x', 'A\x1b[2J', '\xc4'):
            check('a title that is none is rejected', serve.raw(associate(calling=calling) + b'\7\0\0\0\0\4\0\0\0\0')[:1] == b'\3')
        until('and not logged', lambda: serve_log().count('?@127.0.0.1: 0 objects received, rejected') >= 3)
        check('nor is anything else that no terminal should see', all(c == '\n' or c.isprintable() for c in serve_log()))
        check('a study is received', serve.send('1.dcm') == 0)
        done = subprocess.run(['storescu', '-v', '-aec', 'PEFOMED', '127.0.0.1', str(serve.port), '2.dcm'], capture_output=True, text=True)
        check('a second one is refused, for want of resources', 'Out of Resources' in done.stdout + done.stderr or 'OutOfResources' in done.stdout + done.stderr, done)
        until('the log says so', lambda: '0 objects received, 1 refused (1 no room in the inbox), released' in serve_log())
        waiting = serve.metrics()
        check('it is counted', (waiting['objects_received_total'], waiting['objects_refused_total'], waiting['studies_waiting']) == (1, 1, 1) and waiting['inbox_bytes'] > 300, waiting)
        archive.reports(1)
        until('there is room again', lambda: not inbox())
        check('and it is received when it is sent again', serve.send('2.dcm') == 0)
        archive.reports(2)
        until('nothing waits', lambda: not inbox() and not outbox())
        counted = serve.metrics()
        want = {'objects_received_total': 2, 'objects_refused_total': 1, 'studies_answered_total': 2, 'studies_ignored_total': 0, 'studies_failed_total': 0,
                'reports_returned_total': 2, 'reports_given_up_total': 0, 'studies_waiting': 0, 'inbox_bytes': 0, 'reports_waiting': 0}
        check('all is counted', {**counted, **want} == counted and counted['associations_total'] >= 3, counted)
        serve.stop()
    shutil.rmtree('got')
    nobody_scans.image('a.dcm', study='1.7', series='1.7.1', instance='1.7.1.1', patient='MARKED-1')
    nobody_scans.image('b.dcm', study='1.7', series='1.7.2', instance='1.7.2.1', patient='MARKED-2')
    damaged = pathlib.Path(nobody_scans.image('c.dcm', study='1.8')).read_bytes()
    pathlib.Path('c.dcm').write_bytes(damaged.replace(struct.pack('<HH2sHH', 0x28, 0x10, b'US', 2, 12), struct.pack('<HH2sHH', 0x28, 0x10, b'US', 2, 13)))
    with Archive() as archive, Serve(program, RULES.replace('- questions', '- series: all\n    questions'), '--dicom-return', f'ARCHIVE@127.0.0.1:{archive.port}') as serve:
        check('two patients in one study are sent', serve.send('a.dcm', 'b.dcm') == 0)
        both = archive.reports(2)
        check('each has a report of its own image alone', sorted(('1.7.1.1' in r['whole'], '1.7.2.1' in r['whole']) for r in both) == [(False, True), (True, False)])
        check('a damaged one is sent', serve.send('c.dcm') == 0)
        until('what cannot be answered is logged and counted', lambda: serve.metrics()['studies_failed_total'] == 1 and re.search(r'study [0-9a-f]{12}: not answered: ', serve_log()))
        check('without a name', 'MARKED' not in serve_log())
        serve.stop()


def wait_for_bytes(s):
    s.settimeout(0.2)
    try:
        return s.recv(1, socket.MSG_PEEK) != b''
    except TimeoutError:
        return False


def make_report(program):
    subprocess.run([program, 'ask', 'run', 'a.dcm', 'Where?', '--max-tokens', '2', '--sr', 'sr.dcm', '--quiet'], check=True, capture_output=True)
    return 'sr.dcm'


class Web(http.server.BaseHTTPRequestHandler):
    """A DICOMweb server of two series, whose mood a test sets."""
    stored, asked, mood = [], [], ''

    def log_message(self, *_):
        pass

    def reply(self, status, kind='', body=b''):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        if kind:
            self.send_header('Content-Type', kind)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        Web.asked.append((self.path, self.headers.get('Authorization')))
        if Web.mood == 'locked':
            return self.reply(401, 'text/plain', b'MARKED-ID is secret')
        if Web.mood == 'elsewhere':
            self.send_response(302)
            self.send_header('Location', 'http://127.0.0.1:1/')
            return self.end_headers()
        if self.path.startswith('/web/series?'):
            if 'offset=0' not in self.path:
                return self.reply(204)
            value = lambda v: {'vr': 'UI', 'Value': [v]}
            series = [{'0020000D': value('1.9'), '0020000E': value('../../x' if Web.mood == 'path' else f'1.9.{i}'), '00080060': value('CT')} for i in (1, 2)]
            return self.reply(200, 'application/dicom+json', json.dumps(series).encode())
        boundary = b'--x_y'
        body = b''.join(b'\r\n' + boundary + b'\r\nContent-Type: application/dicom\r\n\r\n' + pathlib.Path(f).read_bytes() for f in ('a.dcm', 'b.dcm'))
        body += b'\r\n' + boundary + (b'' if Web.mood == 'cut' else b'--\r\n')
        kind = 'text/plain' if Web.mood == 'plain' else 'multipart/related; type="application/dicom"; boundary="x_y"'
        return self.reply(200, kind, b'\r\n' + boundary + b'\r\nContent-Type: application/dicom\r\n\r\nno DICOM\r\n' + boundary + b'--' if Web.mood == 'rubbish' else body)

    def do_POST(self):
        Web.asked.append((self.path, self.headers.get('Authorization')))
        body = self.rfile.read(int(self.headers['Content-Length']))
        if Web.mood == 'refuse':
            return self.reply(409, 'application/dicom+json', json.dumps({'00081198': {'Value': [{'00081197': {'Value': [0xA900]}}]}}).encode())
        boundary = re.search(r'boundary=(\w+)', self.headers['Content-Type'])[1].encode()
        part = body.split(b'\r\n\r\n', 1)[1]
        check('the body is one part', body.startswith(b'--' + boundary) and part.endswith(b'\r\n--' + boundary + b'--\r\n'))
        Web.stored.append(part[:-len(boundary) - 8])
        return self.reply(200, 'application/dicom+json', b'{}')


def web(program):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f'http://127.0.0.1:{server.server_address[1]}/web'
    a, b = nobody_scans.image('a.dcm'), nobody_scans.image('b.dcm', instance='1.2.3.1.2', side=40)

    def pacs(*words, env=None):
        return subprocess.run([program, 'pacs', *words, '--quiet'], capture_output=True, text=True, env={**os.environ, **(env or {})})

    done = pacs('pull', '--url', url, '--out', 'out', '--query', 'Modality=CT', '--query', 'StudyDescription=a b&c', '--json')
    check('two series are fetched', done.returncode == 0 and json.loads(done.stdout)['objects'] == 4, done.stderr)
    check('whole', all(pathlib.Path('out', f'series-00{i}', f'000{k + 1}.dcm').read_bytes() == pathlib.Path(f).read_bytes() for i in (1, 2) for k, f in enumerate((a, b))))
    check('the query is encoded', '&Modality=CT&StudyDescription=a%20b%26c' in Web.asked[0][0], Web.asked[0])
    check('without credentials', Web.asked[0][1] is None)
    check('a folder of series is kept', pacs('pull', '--url', url, '--out', 'out').returncode != 0)
    for mood, word in (('cut', 'before its last boundary'), ('plain', 'multipart/related'), ('rubbish', 'is none'), ('locked', 'status 401'),
                       ('elsewhere', 'status 302'), ('path', 'without the UIDs')):
        Web.mood = mood
        done = pacs('pull', '--url', url, '--out', f'out-{mood}')
        check(f'a server that is {mood} is told of', done.returncode != 0 and word in done.stderr and 'MARKED' not in done.stderr and done.stderr.count('\n') == 1, done.stderr)
    Web.mood = ''
    check('files and folders are stored', pacs('push', '--url', url, a, 'out/series-001').returncode == 0 and Web.stored == [pathlib.Path(f).read_bytes() for f in (a, a, b)])
    pathlib.Path('secret').write_text('me:password\n')
    pacs('push', '--url', url, a, '--credentials', 'secret')
    check('credentials from a file', Web.asked[-1][1] == 'Basic bWU6cGFzc3dvcmQ=')
    pacs('push', '--url', url, a, env={'PEFOMED_DICOMWEB_CREDENTIALS': 'Bearer abc'})
    check('and from the environment', Web.asked[-1][1] == 'Bearer abc')
    Web.mood = 'refuse'
    done = pacs('push', '--url', url, a)
    check('what is refused is told of', done.returncode != 0 and '0xA900' in done.stderr, done.stderr)
    Web.mood = ''
    Web.stored.clear()
    with Serve(program, RULES + f'    return: {{dicomweb: "{url}", credentials: secret}}\n') as serve:
        serve.send(a)
        until('a report goes to a DICOMweb server where the rule says so', lambda: Web.stored)
        check('as a structured report', b'1.2.840.10008.5.1.4.1.1.88.11' in Web.stored[0] and Web.asked[-1][1] == 'Basic bWU6cGFzc3dvcmQ=')
        until('nothing is kept', lambda: not outbox())
    log = serve_log()
    check('no credentials are logged', 'password' not in log and 'bWU6' not in log)


if __name__ == '__main__':
    {'answers': answers, 'rules': rules, 'away': away, 'killed': killed, 'refused': refused, 'bounds': bounds, 'secure': secure, 'six': six, 'web': web}[sys.argv[2]](sys.argv[1])
