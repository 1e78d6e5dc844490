#!/usr/bin/env python3
"""Speaks to `pefomed serve` as those do who rate blindly, and as the owner of their studies does.

usage: check_rate.py PEFOMED study|blind|links|kill

Works in the folder in which it is started, which holds the run `run` of make_tiny_training's, with p1.png.
"""
import concurrent.futures
import csv
import http.client
import io
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

from check_serve import Serve, check, refused

TOKEN = 'the-token-of-the-owner'
SYSTEMS = ('zanzibar', 'quixotic')


def predictions(system, count=12):
    """JSON lines of one system; ids and further columns that would tell it."""
    return ''.join(json.dumps({'id': f'case-{i}', 'question': f'Question {i}?', 'image': f'pics/p1-{i % 3}.png', 'reference': f'Reference {i}.',
                               'prediction': f'Answer {"first" if system == SYSTEMS[0] else "second"} {i}.', 'model': f'{system}-7b', 'correct': i % 2 == 0}) + '\n'
                   for i in range(count))


def study(**more):
    return {'name': f'{SYSTEMS[0]} against {SYSTEMS[1]}', 'rubric': 'likert-report', 'raters': 3, 'duplicates': 20,
            'systems': [{'name': s, 'predictions': predictions(s)} for s in SYSTEMS], **more}


def bearer(secret):
    return {'Authorization': f'Bearer {secret}'}


def begin(program, *options):
    pathlib.Path('files').mkdir(exist_ok=True)
    pathlib.Path('images/pics').mkdir(parents=True, exist_ok=True)
    for i in range(2):
        shutil.copy('p1.png', f'images/pics/p1-{i}.png')
    for s in SYSTEMS:
        pathlib.Path(f'files/{s}.jsonl').write_text(predictions(s))
    s = Serve(program, '--state', 'state.sqlite', '--predictions', 'files', '--images', 'images', '--token', TOKEN, *options)
    s.headers = bearer(TOKEN)
    return s


def make(s, **more):
    """(the study, the secrets of its raters)"""
    status, _, made = s.call('POST', '/api/studies', study(**more))
    check('a study is made', status == 201 and [link['rater'] for link in made['links']] == list(range(1, len(made['links']) + 1)))
    secrets = [link['link'].removeprefix('/#rate/') for link in made['links']]
    check('its links are long and differ', len(set(secrets)) == len(secrets) and all(len(x) == 48 for x in secrets))
    return made, secrets


def give(s, secret, n, **what):
    return s.call('PUT', f'/api/rate/items/{n}', what, bearer(secret))


def part_study(program):
    with begin(program) as s:
        made, secrets = make(s)
        check('its sheets', [(r['count'], r['done']) for r in made['raters']] == [(29, 0)] * 3 and made['settings']['texts'] == 24)
        check('images that are not there are told', made['images_missing'] == sum(
            line['image'].endswith('-2.png') for line in map(json.loads, s.call('GET', f'/api/studies/{made["id"]}/ratings?form=sheets')[2].splitlines())))
        path = f'/api/studies/{made["id"]}'
        refused(s, 'agreement before there are scores', 409, 'no_scores', 'GET', f'{path}/agreement')
        key = s.call('GET', f'{path}/key')[2]
        rows = {row['item']: row for row in key['rows']}
        sheets = [[row for row in key['rows'] if row['rater'] == f'rater-{r + 1}'] for r in range(3)]
        rng = random.Random(7)
        for r, secret in enumerate(secrets):
            state = s.call('GET', '/api/rate', headers=bearer(secret))[2]
            check('what a rater is told first', state['count'] == 29 and state['next'] == 1 and (state['low'], state['high']) == (0, 4) and
                  [level['score'] for level in state['levels']] == [0, 1, 2, 3, 4] and 'the expert is right' in state['instruction'])
            for n, row in enumerate(sheets[r], 1):
                score = (int(row['id'][5:]) + (row['system'] == SYSTEMS[1]) + rng.randrange(2)) % 5
                last = give(s, secret, n, score=score, comment='=a "comment", with\nlines' if n == 2 else '')
            check('at the end all is done', last[0] == 200 and last[2]['done'] == 29 and last[2]['next'] is None)
        now = s.call('GET', path)[2]
        check('the owner sees how far they are', [(x['done'], x['scored'], x['comments']) for x in now['raters']] == [(29, 29, 1)] * 3)
        status, _, agreement = s.call('GET', f'{path}/agreement')
        check('agreement', status == 200 and agreement['raters'] == ['rater-1', 'rater-2', 'rater-3'] and len(agreement['pairs']) == 3 and
              {x['system'] for x in agreement['systems']} == set(SYSTEMS) and len(agreement['consistency']) == 3)
        for kind in ('jsonl', 'csv'):
            pathlib.Path(f'ratings.{kind}').write_text(s.call('GET', f'{path}/ratings?format={kind}')[2], newline='')
            pathlib.Path(f'sheets.{kind}').write_text(s.call('GET', f'{path}/ratings?format={kind}&form=sheets')[2], newline='')
        pathlib.Path('key.json').write_text(json.dumps(key))
        seed = str(now['settings']['seed'])
        for kind in ('jsonl', 'csv'):
            said = subprocess.run([program, 'agree', f'sheets.{kind}', '--key', 'key.json', '--seed', seed, '--json', '--quiet'], capture_output=True, check=True)
            check(f'agree says the same of the sheets as {kind}', json.loads(said.stdout) == agreement)
            said = subprocess.run([program, 'agree', f'ratings.{kind}', '--levels', '0..4', '--seed', seed, '--json', '--quiet'], capture_output=True, check=True)
            alone = json.loads(said.stdout)
            check(f'and of the ratings as {kind}', all(alone[k] == agreement[k] for k in ('krippendorff', 'fleiss', 'pairs', 'consistency', 'wasm')))
        read = list(csv.DictReader(io.StringIO(pathlib.Path('ratings.csv').read_text(encoding='utf-8-sig'))))
        check('a comment comes back, and is no formula', [x['comment'] for x in read if x['comment']] == ['\'=a "comment", with\nlines'] * 3)
        check('and who said what of what', all(x['item'].split('/')[0] == x['system'] for x in read) and len(read) == 87 and
              sum(bool(x['duplicate_of']) for x in read) == 15)
        check('every row of the key', len(rows) == 87)
        # closed, open, gone
        check('closed', s.call('POST', f'{path}/close')[2]['closed'] is not None)
        refused(s, 'a closed study', 409, 'study_closed', 'PUT', '/api/rate/items/1', {'score': 1}, bearer(secrets[0]))
        check('it can still be looked at', s.call('GET', '/api/rate', headers=bearer(secrets[0]))[2]['closed'] is True)
        check('and opened', s.call('PUT', path, {'closed': False})[2]['closed'] is None and give(s, secrets[0], 1, score=1)[0] == 200)
        files = {'name': 'files', 'rubric': 'correct', 'raters': 2, 'per_text': 1, 'systems': [{'file': f'{x}.jsonl'} for x in SYSTEMS]}
        status, _, other = s.call('POST', '/api/studies', files)
        check('made of files of the folder', status == 201 and [x['name'] for x in other['settings']['systems']] == list(SYSTEMS) and other['scale'] == [0, 1])
        listed = s.call('GET', '/api/studies')[2]
        check('both are listed', [x['name'] for x in listed['studies']] == ['files', made['name']] and
              listed['predictions'] == sorted(f'{x}.jsonl' for x in SYSTEMS) and listed['rubrics'] == ['correct', 'likert-report'] and listed['images'])
        own = {**study(), 'rubric': 'mine', 'rubric_text': 'instruction: Is it short?\nscale: [-1, 1]\nlevels: {-1: no, 1: yes}\nshows: [{title: A, columns: [prediction]}]\n'}
        status, _, mine = s.call('POST', '/api/studies', own)
        secret = mine['links'][0]['link'].removeprefix('/#rate/')
        check('a rubric of one\'s own', status == 201 and [p['title'] for p in s.call('GET', '/api/rate/items/1', headers=bearer(secret))[2]['parts']] == ['A'] and
              give(s, secret, 1, score=-1)[0] == 200 and give(s, secret, 1, score=2)[0] == 400)
        check('removed', s.call('DELETE', path)[0] == 200)
        refused(s, 'what was removed', 404, 'study_not_found', 'GET', path)
        for path_ in (f'/api/studies/{other["id"]}', f'/api/studies/{mine["id"]}'):
            s.call('DELETE', path_)
        left = b''.join(path_.read_bytes() for path_ in pathlib.Path('.').glob('state.sqlite*'))
        check('nothing of them is left in the state', b'Reference 3' not in left and b'case-3' not in left and SYSTEMS[0].encode() not in left and len(left) > 0)
        refused(s, 'its links', 401, 'invalid_link', 'GET', '/api/rate', headers=bearer(secrets[1]))


def part_blind(program):
    with begin(program) as s:
        s.ready()
        made, secrets = make(s)
        comments = ['the other rater says', 'so do I']
        give(s, secrets[1], 3, score=2, comment=comments[0])
        give(s, secrets[2], 5, score=3, comment=comments[1])
        seen, texts = b'', []
        def bytes_of(method, path, body=None):
            nonlocal seen
            connection = http.client.HTTPConnection(s.host, timeout=60)
            connection.request(method, path, json.dumps(body) if body is not None else None, bearer(secrets[0]))
            reply = connection.getresponse()
            data = reply.read()
            seen += str(reply.headers).encode() + b'\n' + data + b'\n'
            connection.close()
            return reply.status, data
        bytes_of('GET', '/api/rate')
        images = [0, 0]
        for n in range(1, 30):
            item = json.loads(bytes_of('GET', f'/api/rate/items/{n}')[1])
            texts.append([part['text'] for part in item['parts']])
            check(f'item {n} is as the rubric shows it', [part['title'] for part in item['parts']] == ['Question', 'Report of the expert', 'Report of the program'] and
                  set(item) == {'n', 'parts', 'images', 'score', 'comment', 'done'} and item['images'] in ([True], [False]))
            status, data = bytes_of('GET', f'/api/rate/items/{n}/images/0')
            images[status == 200] += 1
            check('pixels and nothing else', status == 404 or data[:8] == b'\x89PNG\r\n\x1a\n' and b'tEXt' not in data)
            bytes_of('PUT', f'/api/rate/items/{n}', {'score': n % 5, 'comment': f'mine {n}'})
        bytes_of('POST', '/api/rate/undo', {'change': 29})
        for path in ('/api/rate/items/0', '/api/rate/items/30', '/api/rate/items/1/images/7', '/api/rate/items/x', '/api/rate/items/-1', '/api/rate/items/99999999999999999999'):
            check(f'{path} is not there', bytes_of('GET', path)[0] == 404)
        check('images are shown, and one that is not there is not', images[0] > 0 and images[1] > 0)
        key = s.call('GET', f'/api/studies/{made["id"]}/key')[2]
        tells = [*SYSTEMS, '7b', 'case-', 'pics', 'p1-', 'correct', *comments, made['id'], made['name'], 'rater-', 'duplicate', TOKEN, str(key['seed']), *secrets,
                 *(row['item'] for row in key['rows'])]
        for word in tells:
            check(f'no byte that a rater receives tells {word}', word.encode() not in seen)
        check('every text was there, some twice', len({t[2] for t in texts}) == 24 and len(texts) == 29)
        check('not in the order of the files', [t[2] for t in texts[:12]] != sorted(t[2] for t in texts[:12]))
        other = s.call('POST', '/api/studies', study())[2]
        check('nobody knows the seed', other['settings']['seed'] != made['settings']['seed'])
        # images that lead elsewhere
        pathlib.Path('secret.png').write_bytes(pathlib.Path('p1.png').read_bytes())
        os.symlink('../secret.png', 'images/link.png')
        os.symlink('pics/p1-0.png', 'images/inside.png')
        for name, right in {'../secret.png': 404, os.path.abspath('secret.png'): 404, 'link.png': 404, 'pics': 404, 'pics/../../secret.png': 404, '': 404, '/etc/passwd': 404,
                            'pics/p1-0.png': 200, 'inside.png': 200}.items():
            rows = json.dumps({'id': 1, 'image': name, 'reference': 'R', 'prediction': 'P'})
            tried = s.call('POST', '/api/studies', {'name': 'n', 'raters': 1, 'systems': [{'name': 'x', 'predictions': rows}]})[2]
            secret = tried['links'][0]['link'].removeprefix('/#rate/')
            got = s.raw(f'GET /api/rate/items/1/images/0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n'.encode())
            check(f'the image {name!r}: {right}', f' {right} '.encode() in got.split(b'\r\n')[0])

        # a series, of which some slices were asked about, beside a picture
        os.mkdir('images/ct')
        for k in range(3):
            shutil.copy('scan.dcm', f'images/ct/{k}.dcm')
        shutil.copy('scan.dcm', 'outside.dcm')
        os.symlink('../../outside.dcm', 'images/ct/z.dcm')
        rows = json.dumps({'id': 1, 'images': ['ct', 'ct', 'inside.png'], 'slices': [1, 3, 0], 'reference': 'R', 'prediction': 'P'})
        tried = s.call('POST', '/api/studies', {'name': 'n', 'raters': 1, 'systems': [{'name': 'x', 'predictions': rows}]})[2]
        mine = bearer(tried['links'][0]['link'].removeprefix('/#rate/'))
        at = '/api/rate/items/1/images'
        check('a series is one image', tried['images_missing'] == 0 and s.call('GET', '/api/rate/items/1', None, mine)[2]['images'] == [True, True])
        check('of several slices', s.call('GET', f'{at}/0/series', None, mine)[2] == {'slices': 4, 'at': 2} and s.call('GET', f'{at}/1/series', None, mine)[2] == {'slices': 1, 'at': 1})
        for query, status in {'0': 200, '0?slice=1': 200, '0?slice=3': 200, '0?slice=4': 404, '0?slice=5': 404, '0?slice=0': 400, '0?slice=x': 400, '0?slice=99999999999999999999': 400, '0?slices=1': 400,
                              '1?slice=1': 200, '1?slice=2': 404, '2': 404, '2/series': 404, '0/series?slice=1': 400}.items():
            got = s.raw(f'GET {at}/{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {mine["Authorization"]}\r\nConnection: close\r\n\r\n'.encode())
            check(f'{query}: {status}', f' {status} '.encode() in got.split(b'\r\n')[0] and b'scan' not in got and b'ct/' not in got)


def part_links(program):
    with begin(program) as s:
        made, secrets = make(s)
        path = f'/api/studies/{made["id"]}'
        owners = [('GET', '/api/studies', None), ('POST', '/api/studies', study()), ('GET', path, None), ('PUT', path, {'closed': True}), ('DELETE', path, None),
                  ('POST', f'{path}/close', None), ('POST', f'{path}/raters/1/link', None), ('GET', f'{path}/agreement', None), ('GET', f'{path}/ratings', None),
                  ('GET', f'{path}/key', None), ('GET', '/v1/models', None), ('GET', '/metrics', None), ('GET', '/api/reports', None)]
        for method, where, body in owners:
            refused(s, f'{method} {where} by a rater', 401, 'invalid_api_key', method, where, body, bearer(secrets[0]))
        for given in ({}, bearer(TOKEN), bearer(''), bearer('x' * 48), bearer(secrets[0][:-1]), bearer(secrets[0] + '0'), bearer(secrets[0].upper()), {'Authorization': secrets[0]},
                      bearer("' OR 1=1 --")):
            s.headers = {}
            for method, where, body in (('GET', '/api/rate', None), ('GET', '/api/rate/items/1', None), ('PUT', '/api/rate/items/1', {'score': 1}),
                                        ('POST', '/api/rate/undo', {'change': 1}), ('GET', '/api/rate/items/1/images/0', None)):
                refused(s, f'{method} {where} with {given}', 401, 'invalid_link', method, where, body, given)
        s.headers = bearer(TOKEN)
        check('nothing was scored', all(r['done'] == 0 for r in s.call('GET', path)[2]['raters']))
        state = pathlib.Path('state.sqlite').read_bytes() + pathlib.Path('state.sqlite-wal').read_bytes()
        check('the state does not hold the links', not any(x.encode() in state for x in secrets))
        new = s.call('POST', f'{path}/raters/2/link')
        fresh = new[2]['link'].removeprefix('/#rate/')
        check('a new link opens, the old one does not', new[0] == 201 and s.call('GET', '/api/rate', headers=bearer(fresh))[0] == 200 and
              s.call('GET', '/api/rate', headers=bearer(secrets[1]))[0] == 401)
        for rater in ('0', '4', 'x', '-1'):
            refused(s, f'a link for rater {rater}', 404, 'rater_not_found', 'POST', f'{path}/raters/{rater}/link')
        mine = bearer(secrets[0])
        for body in ({'score': 5}, {'score': -1}, {'score': 1.5}, {'score': '1'}, {'score': True}, {}, {'score': 1, 'system': 'x'}, [], {'comment': 3}, {'comment': 'x' * 20000},
                     '{"score":', {'score': 10 ** 18}):
            status, _, reply = s.call('PUT', '/api/rate/items/1', body, mine)
            check(f'{str(body)[:40]} is no score', status == 400 and reply['error']['message'])
        check('and none was kept', s.call('GET', '/api/rate/items/1', headers=mine)[2]['done'] is False)
        # idempotent, undone, resumed
        one, again = give(s, secrets[0], 1, score=3, comment='so'), give(s, secrets[0], 1, score=3, comment='so')
        check('the same once more changes nothing', one[2] == again[2] and one[2]['change'] == 1)
        give(s, secrets[0], 2, score=None)
        check('an item of which one cannot tell is done', give(s, secrets[0], 3, comment='later')[2]['done'] == 2)
        item = s.call('GET', '/api/rate/items/3', headers=mine)[2]
        check('a comment alone is no score', item['done'] is False and item['comment'] == 'later' and item['score'] is None)
        give(s, secrets[0], 1, score=0)
        def undo(change):
            return s.call('POST', '/api/rate/undo', {'change': change}, mine)
        state = undo(4)[2]
        item = s.call('GET', '/api/rate/items/1', headers=mine)[2]
        check('undo gives back what was', item['score'] == 3 and item['comment'] == 'so' and state['change'] == 3)
        check('undone twice is undone once', undo(4)[2] == state)
        refused(s, 'to undo what is not the last', 409, 'changed', 'POST', '/api/rate/undo', {'change': 1}, mine)
        refused(s, 'to undo what never was', 409, 'changed', 'POST', '/api/rate/undo', {'change': 77}, mine)
        check('and all the way', undo(3)[0] == undo(2)[0] == undo(1)[0] == 200 and s.call('GET', '/api/rate', headers=mine)[2]['done'] == 0 and
              s.call('GET', '/api/rate', headers=mine)[2]['change'] is None)
        # what no study can be made of
        for what, more in {'no name': {'name': ' '}, 'no rubric': {'rubric': 'none'}, 'a path as rubric': {'rubric': '/etc/passwd'}, 'a path as rubric too': {'rubric': './x.yaml'},
                           'a rubric of counts': {'rubric': 'chexprompt'}, 'no raters': {'raters': 0}, 'too many': {'raters': 101}, 'half a rater': {'raters': 1.5},
                           'more for a text than there are': {'per_text': 4}, 'all twice': {'duplicates': 80}, 'no systems': {'systems': []}, 'no list': {'systems': 'x'},
                           'two of one name': {'systems': [{'name': 'a', 'predictions': predictions('a')}] * 2}, 'no JSON': {'systems': [{'name': 'a', 'predictions': '{'}]},
                           'no rows': {'systems': [{'name': 'a', 'predictions': ''}]}, 'a file elsewhere': {'systems': [{'file': '../p1.png'}]},
                           'a file by its path': {'systems': [{'file': os.path.abspath('files/zanzibar.jsonl')}]}, 'a file that is not there': {'systems': [{'file': 'x.jsonl'}]},
                           'both': {'systems': [{'file': 'zanzibar.jsonl', 'predictions': 'x'}]}, 'a name with /': {'systems': [{'name': 'a/b', 'predictions': predictions('a')}]},
                           'fewer texts than raters': {'per_text': 1, 'raters': 30}, 'an unknown key': {'ratters': 3}, 'a seed that is none': {'seed': -4},
                           'a rubric that shows what sheets lack': {'rubric': 'm', 'rubric_text': 'instruction: x\nscale: [0, 1]\nshows: [{title: F, columns: [findings]}, {title: A, columns: [prediction]}]\n'}}.items():
            status, _, reply = s.call('POST', '/api/studies', study(**more))
            check(f'{what}: 400', status == 400 and reply['error']['message'] and (os.getcwd() in str(more) or os.getcwd() not in reply['error']['message']))
        check('none was made', len(s.call('GET', '/api/studies')[2]['studies']) == 1)
    with Serve(program, '--state', 'open.sqlite') as s:
        made, secrets = make(s)
        refused(s, 'a rater where no token is wanted', 403, 'raters_link', 'GET', f'/api/studies/{made["id"]}/key', headers=bearer(secrets[0]))
        check('and the page says that it is open', s.call('GET', '/api/studies')[2]['open'] is True and s.call('GET', '/api/rate', headers=bearer(secrets[0]))[0] == 200)
    done = subprocess.run([program, 'serve', 'run', '--images', 'nowhere', '--port', '0', '--quiet'], capture_output=True, text=True)
    check('a folder that is none', done.returncode == 2 and '--images' in done.stderr)


def part_kill(program):
    """Twenty times: three raters give scores as fast as they can, and the server is killed in the middle."""
    rng, said, secrets = random.Random(3), {}, None
    for time_ in range(20):
        with begin(program) as s:
            if secrets is None:
                made, secrets = make(s, duplicates=0, systems=[{'name': x, 'predictions': predictions(x, 200)} for x in SYSTEMS])
            for (r, n), allowed in said.items():
                item = s.call('GET', f'/api/rate/items/{n}', headers=bearer(secrets[r]))[2]
                if (item['score'], item['comment']) not in allowed:
                    check(f'rater {r + 1}, item {n}, which was acknowledged as {allowed}: {item}', False)
            acknowledged = [0] * 3
            def rate(r):
                mine = random.Random(rng.random() + r)
                while True:
                    n, score, comment = mine.randrange(1, 401), mine.randrange(5), f'{time_} {mine.random()}'
                    before = said.get((r, n), [(None, '')])
                    said[r, n] = [*before, (score, comment)] # until it is acknowledged either may be
                    try:
                        status = give(s, secrets[r], n, score=score, comment=comment)[0]
                    except (OSError, http.client.HTTPException):
                        return
                    if status != 200:
                        check(f'a score is taken: {status}', False)
                    said[r, n] = [(score, comment)]
                    acknowledged[r] += 1
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                raters = [pool.submit(rate, r) for r in range(3)]
                while sum(acknowledged) == 0 and not any(r.done() for r in raters):
                    time.sleep(0.01)
                time.sleep(0.1 + 0.5 * rng.random())
                s.process.kill()
                for r in raters:
                    r.result()
            check(f'kill {time_ + 1}: {sum(acknowledged)} scores were acknowledged before it', sum(acknowledged) > 0)
    with begin(program) as s:
        lost = sum((i['score'], i['comment']) not in allowed for (r, n), allowed in said.items()
                   for i in [s.call('GET', f'/api/rate/items/{n}', headers=bearer(secrets[r]))[2]])
        check(f'after 20 kills each of {len(said)} items has what was acknowledged', lost == 0)
        check('and none has more', all(x['done'] <= len({n for r, n in said if r == x['rater'] - 1}) for x in s.call('GET', f'/api/studies/{made["id"]}')[2]['raters']))


PARTS = {'study': part_study, 'blind': part_blind, 'links': part_links, 'kill': part_kill}

if __name__ == '__main__':
    PARTS[sys.argv[2]](sys.argv[1])
