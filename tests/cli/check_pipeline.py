#!/usr/bin/env python3
"""Runs WangLab's two calls on made-up cases of three images against a stand-in that fails, stalls and talks nonsense (stand_in.py), and checks
that all is accounted for, none asked twice, and that the log alone gives the same.

usage: check_pipeline.py PEFOMED kills|interrupt|order|wait|pictures [--cases N] [--kills N]

kills      ends the program by SIGKILL at random moments, runs it again until it is through, then once more without a server
interrupt  ends it by SIGINT: exit 130, and the same command goes on
order      many at once: never more than asked for, predictions in the rows' order
pictures   of DICOM, NIfTI and others the picture that `image` makes is sent, of each file and frame its own
wait       429 with Retry-After, a limit of attempts a minute: what is asked for is waited
Works in the folder in which it is started.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import time
import zlib

from standing_in import Server, check, whole_lines

AT_ONCE = 8


def picture(number):
    chunk = lambda name, data: struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    rows = b''.join(b'\0' + bytes((number * 7 + x * y) % 256 for x in range(8)) for y in range(8))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 8, 8, 8, 0, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


def make_cases(count):
    rows, hashes = [], []
    for i in range(count):
        names = [f'i{i}-{k}.png' for k in range(3)]
        for k, name in enumerate(names):
            pathlib.Path(name).write_bytes(picture(3 * i + k))
        hashes.append([hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest() for name in names])
        rows.append({'id': f'case-{i}', 'images': names, 'text': f'History number {i}, with "marks" and \u00e4.', 'question': 'What is it?',
                     'answer': 'measles', 'split': 'validate'})
    pathlib.Path('cases.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return rows, hashes


def command(program, server, *more):
    return [program, 'pipeline', 'wanglab-two-calls', '--data', 'cases.jsonl', '--url', server.url, '--model', 'm', '--out', 'out', '--concurrency',
            str(AT_ONCE), '--retries', '60', '--pause', '0.02', '--timeout', '0.6', '--json', *more]


def replies():
    """What the stand-in's replies in the log say of whom they answer."""
    return {line['reply'].split()[-1] for line in whole_lines('out/calls.jsonl') if 'reply' in line}


def predictions():
    return [json.loads(line) for line in pathlib.Path('out/predictions.jsonl').read_text().split('\n') if line]


def check_result(rows, hashes, served):
    """Every row has the reply that the server gave to the second question, made from the first's."""
    found = predictions()
    check('predictions in the order of the rows', [p['id'] for p in found] == [r['id'] for r in rows])
    check('every row has its prediction', all(p['status'] == 'ok' and p['prediction'].startswith('Of 0 images: ') for p in found))
    first = {p['id']: p['steps']['differential'].split()[-1] for p in found}
    shown = {line['key'][:12]: line['images'] for line in served if line['done'] == 'answer'}
    check('each was shown its own three images, in their order', all(shown[first[f'case-{i}']] == hashes[i] for i in range(len(rows))))
    check('the second question had the first one\'s answer in it', all(
        any(line['label'] == f'diagnosis of {p["id"]}' and p['steps']['differential'] in json.dumps(line['request']) for line in whole_lines('out/calls.jsonl')) for p in found))
    keys = [line['key'] for line in whole_lines('out/calls.jsonl') if 'reply' in line]
    check('one reply a question in the log', len(keys) == len(set(keys)) == 2 * len(rows))
    digest = lambda request: hashlib.sha256(json.dumps(request, separators=(',', ':'), ensure_ascii=False).encode()).hexdigest()
    check('the key is the hash of the request', all(digest(line['request']) == line['key'] for line in whole_lines('out/calls.jsonl')))


def check_kills(program, o):
    rows, hashes = make_cases(o.cases)
    server = Server('--fail', '0.1', '--stall', '0.03', '--nonsense', '0.1', '--drop', '0.05', '--delay', '0.05')
    rng, kills, asked_again = random.Random(5), 0, 0
    while True:
        known, begin = replies(), len(server.lines())
        run = subprocess.Popen(command(program, server), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, _ = run.communicate(timeout=rng.uniform(0.05, 0.5) if kills < o.kills else None)
        except subprocess.TimeoutExpired:
            run.kill()
            out, _ = run.communicate()
            kills += run.returncode == -9 # else it was through by itself just then
        asked_again += sum(line['key'][:12] in known for line in server.lines()[begin:])
        if run.returncode == 0:
            break
        check(f'killed ({len(replies())} answered), and no predictions before all is', run.returncode == -9 and
              (not os.path.exists('out/predictions.jsonl') or len(replies()) == 2 * len(rows)))
    served = server.lines()
    check(f'killed {kills} times', kills >= 3)
    check('nothing that the log answers was asked again', asked_again == 0)
    answered = [line['key'] for line in served if line['done'] == 'answer']
    check(f'answers that were on the way at a kill: {len(answered) - 2 * len(rows)}', 0 <= len(answered) - 2 * len(rows) <= kills * AT_ONCE + o.cases)
    check_result(rows, hashes, served)
    result = json.loads(out)
    check('the last run says what it did', result['ok'] == result['n'] == len(rows) and result['asked'] + result['replayed'] == 2 * len(rows))
    errors = {line['error'][:30] for line in whole_lines('out/calls.jsonl') if 'error' in line}
    check(f'failures of {len(errors)} kinds are in the log', len(errors) >= 5)
    server.end()
    before = pathlib.Path('out/predictions.jsonl').read_bytes()
    os.unlink('out/predictions.jsonl')
    again = json.loads(subprocess.run(command(program, server), capture_output=True, check=True).stdout)
    check('without a server the log gives the same', pathlib.Path('out/predictions.jsonl').read_bytes() == before and again['asked'] == 0)
    with open('out/calls.jsonl', 'ab') as file:
        file.write(b'{"key": "00')
    subprocess.run(command(program, server), capture_output=True, check=True)
    check('half a line at the end is trimmed', pathlib.Path('out/predictions.jsonl').read_bytes() == before and len(whole_lines('out/calls.jsonl')) > 0)


def check_interrupt(program, o):
    rows, hashes = make_cases(o.cases)
    server = Server('--delay', '0.1')
    run = subprocess.Popen(command(program, server), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while len(replies()) < 5:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate()
    check('an interrupt ends it with 130 and one line', run.returncode == 130 and not out and b'pefomed: error: interrupted' in err)
    known, begin = replies(), len(server.lines())
    subprocess.run(command(program, server), capture_output=True, check=True)
    check('and the rest is asked alone', not any(line['key'][:12] in known for line in server.lines()[begin:]))
    check_result(rows, hashes, server.lines())
    server.end()


def check_order(program, o):
    rows, hashes = make_cases(o.cases)
    server = Server('--delay', '0.3', '--fail', '0.1')
    subprocess.run(command(program, server), capture_output=True, check=True)
    most = max(line['now'] for line in server.lines())
    check(f'never more than {AT_ONCE} at once, and often as many: {most}', most == AT_ONCE)
    check_result(rows, hashes, server.lines())
    server.end()


def check_wait(program, o):
    rows, _ = make_cases(4)
    server = Server('--limit', '0.5', '--seed', '3')
    begin = time.time()
    subprocess.run(command(program, server, '--pause', '0'), capture_output=True, check=True)
    lines = server.lines()
    limited = [line for line in lines if line['done'] == 'limit']
    check('some were told to wait', len(limited) > 0)
    gaps = [min(b['time'] - a['time'] for b in lines[i + 1:] if b['key'] == a['key']) for i, a in enumerate(lines) if a['done'] == 'limit']
    check(f'and waited the second that was asked for ({min(gaps):.2f} s or more)', min(gaps) >= 0.99 and time.time() - begin > 1)
    server.end()
    server = Server()
    make_cases(3)
    begin = time.time()
    subprocess.run(command(program, server, '--per-minute', '100', '--out', 'slow'), capture_output=True, check=True)
    check('a limit a minute spreads the attempts', len(server.lines()) == 6 and time.time() - begin >= 5 * 60 / 100)
    server.end()


def check_pictures(program, o):
    golden = pathlib.Path(__file__).resolve().parents[1] / 'image/golden'
    os.mkdir('series')
    pathlib.Path('series/frames').write_bytes((golden / 'dicom/enhanced.dcm').read_bytes())
    sent = {'linear.dcm': ['dicom/linear.dcm'], 'many': ['nifti_ras.nii.gz', 'grey16.png', 'turned3.webp', 'turned6.png'], 'plain': ['rgb8.png']}
    rows = [{'id': id, 'images': [str(golden / name) for name in names], 'question': 'What is it?', 'answer': 'measles', 'split': 'validate'} for id, names in sent.items()]
    rows.append({**rows[0], 'id': 'series', 'images': ['series']})
    pathlib.Path('cases.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    server = Server()
    subprocess.run(command(program, server), check=True, capture_output=True)
    shown = {line['key'][:12]: line['images'] for line in server.lines() if line['images']}
    first = {p['id']: p['steps']['differential'].split()[-1] for p in predictions()}

    def made(name, frame='0'):
        subprocess.run([program, 'image', name, 'made.png', '--frame', frame, '--quiet'], check=True, capture_output=True)
        return hashlib.sha256(pathlib.Path('made.png').read_bytes()).hexdigest()

    for row in rows[:2]:
        check(f'{row["id"]}: sent is what image writes', shown[first[row['id']]] == [made(name) for name in row['images']])
    check('of a series each slice', shown[first['series']] == [made('series/frames', str(frame)) for frame in range(3)])
    check('a finished PNG is sent as it is', shown[first['plain']] != [made(rows[2]['images'][0])])
    named = [part['sha256'] for line in whole_lines('out/calls.jsonl') for message in line['request']['messages'] if isinstance(message['content'], list)
             for part in message['content'] if part['type'] == 'image']
    check('the log names each picture by a hash of its own', len(named) == len(set(named)) == 9)
    server.end()
    before = pathlib.Path('out/predictions.jsonl').read_bytes()
    subprocess.run(command(program, server), check=True, capture_output=True)
    check('without a server the log gives the same', pathlib.Path('out/predictions.jsonl').read_bytes() == before)
    pathlib.Path('cut.dcm').write_bytes((golden / 'dicom/linear.dcm').read_bytes()[:-20])
    pathlib.Path('cases.jsonl').write_text(json.dumps({**rows[0], 'images': ['cut.dcm']}) + '\n')
    done = subprocess.run(command(program, server), capture_output=True, text=True)
    check('a damaged file is an error before anything is asked', done.returncode == 1 and 'cut.dcm' in done.stderr and done.stderr.count('error') == 1)


def main():
    a = argparse.ArgumentParser(usage=__doc__)
    a.add_argument('program'), a.add_argument('what', choices=['kills', 'interrupt', 'order', 'wait', 'pictures'])
    a.add_argument('--cases', type=int, default=40), a.add_argument('--kills', type=int, default=6)
    o = a.parse_args()
    {'kills': check_kills, 'interrupt': check_interrupt, 'order': check_order, 'wait': check_wait, 'pictures': check_pictures}[o.what](o.program, o)


main()
