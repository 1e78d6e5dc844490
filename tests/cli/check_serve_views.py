#!/usr/bin/env python3
"""Looks through runs and predictions on `pefomed serve`, as the page does and as others try.

usage: check_serve_views.py PEFOMED runs|live|predictions|paths|large

Works in the folder in which it is started, which holds `all/run` and `all/other`, runs of make_tiny_training's, with their answers in answers.jsonl, and the images.
"""
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse

import check_serve
from check_serve import check


class Serve(check_serve.Serve):
    def __init__(self, program, *options):
        self.process = subprocess.Popen([program, 'serve', 'all/run', '--port', '0', '--quiet', *options], stdout=subprocess.PIPE, stderr=open('serve.err', 'w'), text=True)
        self.address = self.process.stdout.readline().strip()
        self.host = urllib.parse.urlsplit(self.address).netloc
        self.headers = {}

    def get(self, path, **query):
        status, _, told = self.call('GET', path + ('?' + urllib.parse.urlencode(query) if query else ''))
        return told if status == 200 else status

    def bytes(self, path):
        import http.client
        connection = http.client.HTTPConnection(self.host, timeout=60)
        connection.request('GET', path)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        return reply.status, data


def part_runs(program):
    with Serve(program) as s:
        runs = s.get('/api/runs')['runs']
        check('runs are listed by name', [r['name'] for r in runs] == ['other', 'run'] and all(r['state'] == 'finished' for r in runs))
        lines = [json.loads(line) for line in open('all/run/log.jsonl')]
        check('with where they are', (runs[1]['step'], runs[1]['loss']) == (lines[-1]['step'], lines[-1]['loss']))
        check('and their scores', runs[1]['scores']['validate-none']['n'] > 0)
        run = s.get('/api/runs/run')
        check('a run has its settings', run['recipe'] == open('all/run/recipe.yaml').read() and run['audit'] == json.load(open('all/run/audit.json')))
        check('and its scores by kind', run['scores']['validate-none'] == json.load(open('all/run/scores/validate-none.json')))
        log = s.get('/api/runs/run/log')
        check('its curves are those of the log', all(log['series'][key]['value'] == [line[key] for line in lines if key in line] for key in ('loss', 'lr', 'validation_loss')))
        check('from a step on', s.get('/api/runs/run/log', **{'from': 2, 'log': log['log']})['series']['loss']['step'] == [line['step'] for line in lines if line['step'] > 2])
        check('but all where it is another log', len(s.get('/api/runs/run/log', **{'from': 2, 'log': 'x'})['series']['loss']['step']) == len(lines))
        both = s.get('/api/runs/run/against/other')
        check('recipes are compared', [(d['key'], d['a'] != d['b']) for d in both['recipes']] == [('train.learning_rate', True), ('train.minimum_learning_rate', True)])
        check('scores stand side by side', set(both['scores']) == {'a', 'b'} and 'validate-none' in both['scores']['b'])
        check('and predictions that both have', both['files'] == [{'file': 'answers.jsonl', 'a': 'run:answers.jsonl', 'b': 'other:answers.jsonl'}])
        check('what is not there is 404', [s.get(p) for p in ('/api/runs/none', '/api/runs/none/log', '/api/runs/run/against/none', '/api/runs/none/against/run')] == [404] * 4)
        check('what says nothing is refused', [s.get('/api/runs', x=1), s.get('/api/runs/run', x=1), s.get('/api/runs/run/log', **{'from': 'x'}), s.get('/api/runs/run/log', y=2)] == [400] * 4)
        pathlib.Path('all/other/recipe.yaml').write_text('model: [')
        check('without its folder', os.path.realpath('.').encode() not in s.bytes('/api/runs/run/against/other')[1])
        check('a recipe that is none is said', s.get('/api/runs/run/against/other') == 400 and s.get('/api/runs/other')['recipe'] == 'model: [')
    check('nothing on stderr', pathlib.Path('serve.err').read_text() == '')


def part_live(program):
    """A run that is written while it is looked at, killed, and goes on."""
    with Serve(program) as s:
        folder = pathlib.Path('all/new')
        folder.mkdir()
        (folder / 'recipe.yaml').write_text(open('all/run/recipe.yaml').read())
        log = open(folder / 'log.jsonl', 'w')
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        told = s.get('/api/runs/new/log')
        for _ in range(100):
            if told != 404:
                break
            time.sleep(0.05)
            told = s.get('/api/runs/new/log')
        check('a new run is there within seconds', told['state'] == 'training' and told['series'] == {} and told['step'] is None)
        step, seen = told['step'] or 0, []
        for n in range(1, 31):
            line = json.dumps({'step': n, 'loss': 1 / n}) + '\n'
            log.write(line[:9])
            log.flush()
            told = s.get('/api/runs/new/log', **{'from': step, 'log': told['log']})
            log.write(line[9:])
            log.flush()
            told = s.get('/api/runs/new/log', **{'from': step, 'log': told['log']})
            seen += told['series']['loss']['step']
            step = told['step']
        check('each step arrives once', seen == list(range(1, 31)))
        listed = next(r for r in s.get('/api/runs')['runs'] if r['name'] == 'new')
        check('the list says where it is', (listed['state'], listed['step']) == ('training', 30))
        os.close(held)
        check('a run that nobody works at is interrupted', s.get('/api/runs/new')['state'] == 'interrupted')
        kept = ''.join(open(folder / 'log.jsonl').readlines()[:20])
        (folder / 'new.jsonl').write_text(kept)
        os.replace(folder / 'new.jsonl', folder / 'log.jsonl')
        again = s.get('/api/runs/new/log', **{'from': step, 'log': told['log']})
        check('lines that were taken back are gone', again['log'] != told['log'] and again['series']['loss']['step'] == list(range(1, 21)))
        with open(folder / 'log.jsonl', 'a') as log:
            log.writelines(json.dumps({'step': n, 'loss': n}) + '\n' for n in range(21, 50001))
        many = s.get('/api/runs/new/log')['series']['loss']
        check('a long log is thinned, exact at its end', len(many['step']) <= 1000 and many['step'][-200:] == list(range(49801, 50001)) and many['step'][0] == 1)


def make_right(path, every):
    """Some answers become right: a run of a second has none."""
    rows = [json.loads(line) for line in open(path)]
    for i, row in enumerate(rows):
        if i % every == 0:
            row.update(prediction=row['answer'].upper() + '.', correct=True)
    pathlib.Path(path).write_text(''.join(json.dumps(row) + '\n' for row in rows))


def part_predictions(program):
    make_right('all/run/answers.jsonl', 2)
    make_right('all/other/answers.jsonl', 4)
    with Serve(program, '--images', '.') as s:
        s.ready()
        files = s.get('/api/predictions')
        check('files are listed', [f['name'] for f in files['files']] == ['other:answers.jsonl', 'run:answers.jsonl'] and files['images'])
        rows = [json.loads(line) for line in open('all/run/answers.jsonl')]
        path = '/api/predictions/run:answers.jsonl'
        told = s.get(path, count=500)
        check('all rows', [r['id'] for r in told['rows']] == [r['id'] for r in rows] and told['matching'] == told['n'] == len(rows))
        check('right and wrong are as eval says', told['right'] == {'right': sum(r['correct'] for r in rows), 'wrong': sum(not r['correct'] for r in rows)})
        for value in ('right', 'wrong'):
            check(value, [r['id'] for r in s.get(path, right=value, count=500)['rows']] == [r['id'] for r in rows if r['correct'] == (value == 'right')])
        for kind in ('OPEN', 'closed'):
            check(kind, [r['id'] for r in s.get(path, kind=kind, count=500)['rows']] == [r['id'] for r in rows if r['answer_type'] == kind.upper()])
        word = rows[0]['question'].rstrip('?').split()[-1]
        check('words', [r['id'] for r in s.get(path, words=word.upper(), count=500)['rows']] ==
              [r['id'] for r in rows if word.lower() in ' '.join((r['question'], r['answer'], r['prediction'])).lower().replace('?', '').split()])
        pages = [r['id'] for n in range(0, len(rows), 3) for r in s.get(path, **{'from': n, 'count': 3})['rows']]
        check('page by page', pages == [r['id'] for r in rows])
        other = {r['id']: r for r in map(json.loads, open('all/other/answers.jsonl'))}
        differ = s.get(path, against='other:answers.jsonl', count=500)
        check('where two files differ', 0 < len(differ['rows']) < len(rows) and [r['id'] for r in differ['rows']] == [r['id'] for r in rows if r['prediction'] != other[r['id']]['prediction']])
        better = s.get(path, against='other:answers.jsonl', differ='better')
        check('where one is better', 0 < better['matching'] == better['against']['better'] == sum(r['correct'] and not other[r['id']]['correct'] for r in rows))
        check('what the other says', all(r['other']['prediction'] == other[r['id']]['prediction'] for r in differ['rows']))
        gap = s.get(path + '/against/other:answers.jsonl')['groups'][0]
        score = json.loads(subprocess.run([program, 'score', 'all/run/answers.jsonl', '--profile', 'vqa', '--against', 'all/other/answers.jsonl', '--json'], capture_output=True, text=True).stdout)['difference']['overall']
        check('the difference is that of score --against', gap['mean'] != 0 and all(gap[k] == score[k] for k in ('a', 'b', 'mean', 'ci95')) and abs(gap['p'] - score['p']) < 1e-12)
        for query in ({'right': 'x'}, {'kind': 'x'}, {'from': -1}, {'count': 501}, {'count': 'x'}, {'rigth': 'right'}, {'location': 'lung'}, {'differ': 'better'}, {'against': 'other:answers.jsonl', 'differ': 'x'}):
            check(f'{query} is refused', s.get(path, **query) == 400)
        check('what is not there is 404', [s.get(path, against='none'), s.get('/api/predictions/none'), s.get(path + '/against/none')] == [404] * 3)
        status, picture = s.bytes(f'{path}/images/0/0')
        check('an image as PNG', status == 200 and picture.startswith(b'\x89PNG') and s.bytes(f'{path}/images/0/0?most=5')[1].startswith(b'\x89PNG'))
        check('it says so', told['rows'][0]['there'] == [True])
        check('and no other', [s.bytes(f'{path}/images/{what}')[0] for what in ('0/1', '999/0', '-1/0', 'x/0', '0/x', '0/0?most=0', '0/0?x=1')] == [404, 404, 404, 404, 404, 400, 400])
        with open('all/run/answers.jsonl', 'a') as file:
            file.write(json.dumps({**rows[0], 'id': 'added'}) + '\n')
        check('a file that has changed is read again', s.get(path)['n'] == len(rows) + 1)
        pathlib.Path('all/run/answers.jsonl').write_text(json.dumps(rows[0]) + '\n{"id":')
        check('one that is damaged is said by name and line', s.call('GET', path)[2]['error']['message'].startswith('run:answers.jsonl line 2: not JSON'))
    check('nothing on stderr', pathlib.Path('serve.err').read_text() == '')


def part_paths(program):
    """What lies outside the folders stays there: a predictions file may name whatever it likes."""
    outside = pathlib.Path('outside')
    outside.mkdir()
    (outside / 'secret.png').write_bytes(pathlib.Path('p1.png').read_bytes())
    (outside / 'secret.jsonl').write_text(open('all/run/answers.jsonl').read())
    images = pathlib.Path('images')
    images.mkdir()
    (images / 'good.png').write_bytes(pathlib.Path('p1.png').read_bytes() + b'')
    (images / 'link.png').symlink_to('../outside/secret.png')
    (images / 'text.png').write_text('no image')
    names = ['good.png', 'link.png', '../outside/secret.png', str((outside / 'secret.png').resolve()), '/etc/passwd', 'text.png', 'none.png', '.', '..', 'good.png/', 'good.png/../link.png', str((images / 'good.png').resolve())]
    row = {'question': 'q', 'answer': 'a', 'prediction': 'p'}
    pathlib.Path('all/names.jsonl').write_text(''.join(json.dumps({'id': i, 'image': name, **row}) + '\n' for i, name in enumerate(names)))
    pathlib.Path('all/link.jsonl').symlink_to('../outside/secret.jsonl')
    pathlib.Path('all/linked').symlink_to('../outside')
    with Serve(program, '--images', 'images') as s:
        s.ready()
        check('links are not listed', [f['name'] for f in s.get('/api/predictions')['files']] == ['names.jsonl', 'other:answers.jsonl', 'run:answers.jsonl'])
        told = s.get('/api/predictions/names.jsonl')
        status = [s.bytes(f'/api/predictions/names.jsonl/images/{n}/0')[0] for n in range(len(names))]
        check('images of the folder alone are shown', status == [200, 404, 404, 404, 404, 400, 404, 404, 404, 404, 404, 200])
        check('errors tell no path', all('outside' not in s.bytes(f'/api/predictions/names.jsonl/images/{n}/0')[1].decode(errors='replace') for n in range(1, 8)))
        tricks = ['..', '.', '%2e%2e', '..%2foutside%2fsecret.jsonl', '%2fetc%2fpasswd', 'link.jsonl', 'linked:secret.jsonl', 'run%2fanswers.jsonl', 'run:..:..:outside:secret.jsonl', 'none%00names.jsonl', 'NAMES.JSONL',
                  'run:log.jsonl', 'run:recipe.yaml', '%ff', 'x' * 5000]
        for trick in tricks:
            for path in (f'/api/predictions/{trick}', f'/api/predictions/{trick}/images/0/0', f'/api/predictions/names.jsonl/against/{trick}', f'/api/runs/{trick}', f'/api/runs/{trick}/log', f'/api/runs/run/against/{trick}'):
                got = s.bytes(path)[0]
                check(f'{path[:70]} is refused ({got})', got in (400, 404))
    with Serve(program, '--images', 'images', '--token', 'a-long-token') as s:
        check('all of it wants the token', [s.bytes(p)[0] for p in ('/api/runs', '/api/runs/run', '/api/runs/run/log', '/api/runs/run/against/other', '/api/predictions', '/api/predictions/names.jsonl',
                                                                   '/api/predictions/names.jsonl/images/0/0', '/api/predictions/names.jsonl/against/run:answers.jsonl')] == [401] * 8)
    with Serve(program) as s:
        check('without --images there are none', s.bytes('/api/predictions/names.jsonl/images/0/0')[0] == 404 and s.get('/api/predictions')['images'] is False)
    for options, said in ((('--images', 'none'), '--images wants one'), (('--runs', 'none'), '--runs wants one'), (('--predictions', 'p1.png'), '--predictions wants one')):
        failed = subprocess.run([program, 'serve', 'all/run', '--port', '0', *options], capture_output=True, text=True)
        check(said, failed.returncode == 2 and said in failed.stderr)


def part_large(program):
    """100,000 rows are looked through quickly, in processor time of the server, and memory has a bound."""
    modalities = ['CT', 'MRI', 'X-Ray']
    for k in range(3):
        with open(f'all/large{k}.jsonl', 'w') as file:
            for i in range(100_000):
                file.write(json.dumps({'id': i, 'image': f'i{i // 10}.png', 'question': f'Question {i % 997} of the lung?', 'answer': 'yes' if i % 3 else 'no', 'prediction': 'yes' if i % (k + 2) else 'no',
                                       'answer_type': 'CLOSED', 'modality': modalities[i % 3]}) + '\n')
    with Serve(program) as s:
        s.ready()
        def worked():
            return sum(map(int, pathlib.Path(f'/proc/{s.process.pid}/stat').read_text().split()[13:15])) / os.sysconf('SC_CLK_TCK')

        def timed(path='/api/predictions/large0.jsonl', **query):
            begin = worked()
            return s.get(path, **query), worked() - begin
        told, first = timed()
        check(f'read within ten seconds ({first:.2f} s)', told['n'] == 100_000 and first < 10)
        told, again = timed(words='lung 500', modality='MRI', right='wrong', **{'from': 0, 'count': 50})
        check(f'filtered within a second ({again:.2f} s)', 0 < told['matching'] < 200 and again < 1)
        told, _ = timed(against='large1.jsonl')
        told, both = timed(against='large1.jsonl', differ='worse')
        check(f'two of them within a second ({both:.2f} s)', told['matching'] > 0 and both < 1)
        gap, between = timed('/api/predictions/large0.jsonl/against/large1.jsonl')
        check(f'their difference within a minute ({between:.2f} s)', gap['rows'] == 100_000 and between < 60)
        for k in (2, 1, 0, 2, 1, 0):
            s.get(f'/api/predictions/large{k}.jsonl')
        memory = int(pathlib.Path(f'/proc/{s.process.pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20
        check(f'within bounds ({memory} MiB)', memory < 1500)


globals()[f'part_{sys.argv[2]}'](sys.argv[1])
