#!/usr/bin/env python3
"""Checks what is recorded of answers, and that none is lost.

usage: check_record.py ask|serve|kill

Works in the folder in which it is started, which holds the run `run` of make_tiny_training's; of `ask` also r.jsonl, the record
of a question and a report, and a, what was said to the question.
"""
import hashlib
import http.client
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

from check_serve import Serve, ask, check, events, image

CHAT = '/v1/chat/completions'


def sha(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def entry_of(line):
    try:
        return json.loads(line)
    except ValueError:
        return None


def record():
    """The entries; what a kill left of one is none, and stays where it is."""
    return [entry for line in pathlib.Path('r.jsonl').read_bytes().split(b'\n') if (entry := entry_of(line)) is not None]


def audited(*words):
    """What `audit --json` says; it must be intact."""
    return json.loads(subprocess.run(['pefomed', 'audit', 'r.jsonl', '--json', *words], check=True, capture_output=True).stdout)


def part_ask():
    first, second = record()
    told = json.loads(pathlib.Path('a').read_text())
    check('what an entry holds of an answer', all(first[key] == told[key] for key in ('answer', 'prompt', 'tokens', 'probability')))
    check('and it is told as which', told['record'] == {'sequence': 1, 'hash': first['hash']})
    check('who asked is not known', first['command'] == 'ask' and first['asked_by'] is None and first['model'] == 'run')
    check('the images, by their bytes and as they were shown', [i['sha256'] for i in second['images']] == [sha('p1.png'), sha('p4.png')] and
          first['images'][0]['shown'] == told['images'][0])
    check('the adapter by its files', first['weights']['adapter']['files'] == {
        f'adapter/{name}': sha(f'run/adapter/{name}') for name in ('adapter_config.json', 'adapter_model.safetensors')})
    check('the aligner that was learned', first['weights']['aligner']['sha256'] == sha('run/aligner.safetensors'))
    audit = json.loads(pathlib.Path('run/audit.json').read_text())
    check('the base as the audit has it', all(first['weights'][part] == audit['weights'][part] for part in ('language', 'vision')))
    folder = pathlib.Path(first['weights']['language']['name'])
    listed = subprocess.run('LC_ALL=C sha256sum * | sha256sum', shell=True, cwd=folder, capture_output=True, text=True).stdout
    check('a folder as the manual says', folder.is_dir() and first['weights']['language']['sha256'] == listed.split()[0])
    check('the recipe is the audit\'s', first['recipe_sha256'] == audit['recipe_sha256'])
    check('the seed', first['decoding']['seed'] == 42 and second['decoding']['seed'] == 7)
    check('a report', second['command'] == 'report' and 'cough' in second['prompt'])


def part_serve():
    token = 'a-token-of-the-test'
    with Serve('pefomed', '--record', 'r.jsonl', env={'PEFOMED_TOKEN': token}) as s:
        s.headers = {'Authorization': f'Bearer {token}'}
        s.ready()
        whole = s.call('POST', CHAT, ask('Where?', image('p1.png'), max_tokens=6))[2]
        drawn = s.call('POST', CHAT, ask('Where?', image('p1.png'), max_tokens=6, n=3, temperature=1, seed=5))[2]
        streamed = events(s.call('POST', CHAT, ask('Why?', image('p4.png'), max_tokens=6, n=2, temperature=1, stream=True,
                                                   stream_options={'include_usage': True}))[2])
        lines = record()
        texts = [''.join(c['choices'][0]['delta'].get('content', '') for c in streamed if c['choices'] and c['choices'][0]['index'] == i)
                 for i in range(2)]
        sent = [c['message']['content'] for c in whole['choices'] + drawn['choices']] + texts
        receipts = whole['pefomed']['record'] + drawn['pefomed']['record'] + streamed[-1]['pefomed']['record']
        by_number = {line['sequence']: line for line in lines}
        check('every answer is one entry, with what was sent', len(lines) == 6 and
              [by_number[r['sequence']]['answer'] for r in receipts] == sent)
        check('it is told as which', all(by_number[r['sequence']]['hash'] == r['hash'] for r in receipts))
        check('the request by its name', lines[0]['request'] == whole['id'])
        salt = pathlib.Path(os.environ['PEFOMED_HOME'], 'salt').read_bytes()
        check('who asked, by a salted hash', all(line['asked_by'] == hashlib.sha256(salt + token.encode()).hexdigest() for line in lines) and
              token not in pathlib.Path('r.jsonl').read_text())
        check('each of several has its seed', sorted(by_number[r['sequence']]['decoding']['seed'] for r in drawn['pefomed']['record']) == [5, 6, 7])
        check('the image that was sent', lines[0]['images'][0]['sha256'] == sha('p1.png'))
        broken_off(s)
        count = audited('--head', receipts[0]['hash'])['answers']
        check('it is intact while it is written', count >= 7)
        check('the newest is told', s.call('GET', '/api/record')[2]['hash'] == record()[-1]['hash'])
        os.rename('r.jsonl', 'moved.jsonl')
        status, _, reply = s.call('POST', CHAT, ask('Where?', image('p1.png'), max_tokens=6))
        check('without a record no answer', status == 500 and 'was moved or removed' in reply['error']['message'])
        text = s.call('POST', CHAT, ask('Where?', image('p1.png'), max_tokens=6, stream=True))[2]
        check('and none that ends well', 'broken_off' in text and '"finish_reason":"' not in text and '[DONE]' not in text)


def broken_off(s):
    """Reads the beginning of an answer and hangs up; again, where the whole answer was sent before that was seen."""
    cut = []
    for _ in range(5):
        before = len(record())
        connection = http.client.HTTPConnection(s.host, timeout=60)
        body = json.dumps(ask('Where?', image('p1.png'), max_tokens=400, stream=True, n=8, temperature=2))
        connection.request('POST', CHAT, body, s.headers)
        reply = connection.getresponse()
        while (line := reply.readline().decode()) and ('"content":"' not in line or '"content":""' in line):
            pass
        reply.close()
        connection.close()
        until = time.time() + 20
        while not (cut := [line for line in record()[before:] if line['finish'] == 'broken_off']) and len(record()) < before + 8 and time.time() < until:
            time.sleep(0.05)
        if cut:
            break
    check('of what was broken off what was sent is recorded', any(line['answer'] for line in cut))


def part_kill():
    """Twenty times eight threads ask, half of them for streams, and the server is killed at a moment that nobody chose."""
    given, lock, kills = [], threading.Lock(), 20
    random.seed(11)

    def keep_asking(s, stop, streamed):
        while not stop.is_set():
            try:
                status, _, reply = s.call('POST', CHAT, ask('Where?', image('p1.png'), max_tokens=3, **(
                    {'stream': True, 'stream_options': {'include_usage': True}} if streamed else {})))
                if status == 200 and streamed:
                    lines = [json.loads(line[6:]) for line in reply.split('\n') if line.startswith('data: {')]
                    text = ''.join(line['choices'][0]['delta'].get('content', '') for line in lines if line['choices'])
                    reply = {'pefomed': lines[-1]['pefomed'], 'choices': [{'message': {'content': text}}], 'id': lines[-1]['id']}
            except (OSError, http.client.HTTPException, ValueError, KeyError, IndexError):
                return
            if status == 200:
                with lock:
                    given.append((reply['pefomed']['record'][0], reply['choices'][0]['message']['content'], reply['id']))

    for _ in range(kills):
        with Serve('pefomed', '--record', 'r.jsonl') as s:
            s.ready()
            stop, before = threading.Event(), len(given)
            threads = [threading.Thread(target=keep_asking, args=(s, stop, number % 2 == 1)) for number in range(8)]
            for thread in threads:
                thread.start()
            while len(given) == before:
                time.sleep(0.002)
            time.sleep(random.uniform(0, 0.1))
            s.process.kill()
            stop.set()
            for thread in threads:
                thread.join()
    found = audited()
    lines = {line['sequence']: line for line in record() if 'answer' in line}
    lost = [r for r, text, name in given if r['sequence'] not in lines or lines[r['sequence']]['hash'] != r['hash'] or
            lines[r['sequence']]['answer'] != text or lines[r['sequence']]['request'] != name]
    check(f'{kills} kills, and each of {len(given)} answers that was given is in the record', found['intact'] and not lost and len(given) >= kills)
    audited('--head', given[-1][0]['hash'])


if __name__ == '__main__':
    {'ask': part_ask, 'serve': part_serve, 'kill': part_kill}[sys.argv[1]]()
