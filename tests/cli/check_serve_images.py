#!/usr/bin/env python3
"""Opens images on `pefomed serve` and writes reports about them, as the page does.

usage: check_serve_images.py PEFOMED images|reports|observer|kills

Works in the folder in which it is started, which holds the run `run` of make_tiny_training's, with p1.png and scan.dcm, which has no UIDs.
"""
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import threading
import time

import sr_complaints
from check_serve import Serve, ask, check


def write_slice(path):
    """A CT slice of 2 x 2 pixels with the UIDs that a report refers to, in explicit little endian."""
    def element(group, number, vr, value):
        value = value if isinstance(value, bytes) else value.encode() + (b'\0' if vr == 'UI' else b' ') * (len(value) % 2)
        return struct.pack('<HH2s', group, number, vr.encode()) + (struct.pack('<HI', 0, len(value)) if vr == 'OW' else struct.pack('<H', len(value))) + value
    short = lambda n: struct.pack('<H', n)
    meta = element(2, 0x10, 'UI', '1.2.840.10008.1.2.1')
    pathlib.Path(path).write_bytes(bytes(128) + b'DICM' + element(2, 0, 'UL', struct.pack('<I', len(meta))) + meta + b''.join(element(*e) for e in (
        (8, 0x16, 'UI', '1.2.840.10008.5.1.4.1.1.2'), (8, 0x18, 'UI', '1.2.3.4'), (8, 0x60, 'CS', 'CT'), (0x10, 0x10, 'PN', 'planted^name'),
        (0x10, 0x20, 'LO', 'planted17'), (0x20, 0xD, 'UI', '1.2.3.5'), (0x20, 0xE, 'UI', '1.2.3.6'), (0x28, 2, 'US', short(1)), (0x28, 4, 'CS', 'MONOCHROME2'),
        (0x28, 0x10, 'US', short(2)), (0x28, 0x11, 'US', short(2)), (0x28, 0x100, 'US', short(16)), (0x28, 0x101, 'US', short(16)), (0x28, 0x102, 'US', short(15)),
        (0x28, 0x103, 'US', short(0)), (0x7FE0, 0x10, 'OW', struct.pack('<4H', 0, 40, 80, 120)))))


def opened(s, path):
    status, _, image = s.call('POST', '/api/images', pathlib.Path(path).read_bytes())
    check(f'{path} is opened', status == 200)
    return image


def kept(image, **more):
    return {'type': 'image_url', 'image_url': {'url': f'pefomed:{image["id"]}', **more}}


def part_images(program):
    with Serve(program, '--keep', '1') as s:
        s.ready()
        png, scan = opened(s, 'p1.png'), opened(s, 'scan.dcm')
        check('what they are is told', (png['kind'], png['frames'], png['values'], png['windows']) == ('PNG', 1, False, []) and
              scan['kind'] == 'DICOM' and scan['values'] and [w['name'] for w in scan['windows']][:3] == ['file', 'percentile', 'full'])
        check('text in the pixels is looked for', all(i['shown'].get('text_rows') == 0 and i['shown']['text_like'] is False for i in (png, scan)))
        check('an id cannot be guessed', len(png['id']) == 32 and png['id'] != opened(s, 'p1.png')['id'])
        whole = s.call('POST', '/v1/chat/completions', ask('Where?', kept(png), max_tokens=6))[2]
        data = s.call('POST', '/v1/chat/completions', ask('Where?', __import__('check_serve').image('p1.png'), max_tokens=6))[2]
        check('an answer is that to its data URI', whole['choices'] == data['choices'] and whole['pefomed'] == data['pefomed'])
        blank = s.call('POST', '/v1/chat/completions', ask('Where?', kept(png, blank=True), max_tokens=6))[2]
        check('a blank image is another', blank['pefomed']['probability'] != whole['pefomed']['probability'])
        told = s.call('GET', f'/api/images/{scan["id"]}/shown?window=100,2000')[2]
        check('in each frame that is shown', told.get('text_rows') == 0)
        check('a window is applied', (told['center'], told['width'], told['window']) == (100, 2000, 'given'))
        values = raw_get(s, f'/api/images/{scan["id"]}/values')
        width, height, low, step, inverted, _ = struct.unpack_from('<IIddII', values)
        check('values have their head', (width, height) == (scan['width'], scan['height']) and len(values) == 32 + 2 * width * height and step > 0)
        check('pictures are PNG', all(raw_get(s, f'/api/images/{i["id"]}/{what}').startswith(b'\x89PNG') for i in (png, scan) for what in ('picture', 'square')))
        refused = {
            f'/api/images/{scan["id"]}/picture?frame=7': 400, f'/api/images/{scan["id"]}/picture?frame=-1': 400,
            f'/api/images/{scan["id"]}/picture?window=none': 400, f'/api/images/{scan["id"]}/picture?most=x': 400,
            f'/api/images/{scan["id"]}/picture?window=file:9': 400, f'/api/images/{png["id"]}/values': 404, '/api/images/0/picture': 404,
            '/api/images/..%2f..%2fetc/picture': 404}
        for path, status in refused.items():
            check(f'{path.replace(scan["id"], "ID").replace(png["id"], "PNG")} is {status}', s.call('GET', path)[0] == status)
        check('what is no image is refused', s.call('POST', '/api/images', b'text')[0] == 400 and s.call('POST', '/api/images', b'')[0] == 400)
        check('series are sorted', s.call('POST', '/api/images/series', {'images': [scan['id'], png['id']]})[2]['series'][0]['slices'] == [{'id': scan['id'], 'frame': 0}])
        check('and what cannot be is refused', [s.call('POST', '/api/images/series', b)[0] for b in ({}, {'images': []}, {'images': [1]}, {'images': ['x']}, [], {'images': [scan['id']], 'more': 1})]
              == [400, 400, 400, 404, 400, 400])
        large = opened_bytes(s, pathlib.Path('p1.png').read_bytes() + b'\0' * 900_000)
        check('the oldest leave where the room is full', large['kind'] == 'PNG' and s.call('GET', f'/api/images/{opened_bytes(s, pathlib.Path("p1.png").read_bytes() + bytes(900_000))["id"]}/shown')[0] == 200
              and s.call('GET', f'/api/images/{large["id"]}/shown')[0] == 404)
        check('what is larger than the room is 413', s.call('POST', '/api/images', pathlib.Path('p1.png').read_bytes() + bytes(2 << 20))[0] == 413)
        again = opened(s, 'scan.dcm')
        check('closing forgets', s.call('DELETE', f'/api/images/{again["id"]}')[0] == 200 and s.call('GET', f'/api/images/{again["id"]}/shown')[0] == 404)
        check('an image that is gone is not asked about', s.call('POST', '/v1/chat/completions', ask('Where?', kept(again)))[0] == 404)
        check('the page comes with its tag', s.call('GET', '/')[0] == 200 and s.call('GET', '/', headers={'If-None-Match': s.call('GET', '/')[1]['ETag']})[0] == 304)
        check('and has no other files', s.call('GET', '/page/read.c')[0] == 404 and s.call('GET', '/page/..%2froutes.h')[0] == 404)
    check('nothing on stderr', pathlib.Path('serve.err').read_text() == '')


def opened_bytes(s, data):
    return s.call('POST', '/api/images', data)[2]


def raw_get(s, path):
    import http.client
    connection = http.client.HTTPConnection(s.host, timeout=60)
    connection.request('GET', path)
    data = connection.getresponse().read()
    connection.close()
    return data


def part_reports(program):
    write_slice('slice.dcm')
    with Serve(program, '--state', 'state/here.sqlite') as s:
        s.ready()
        image, other = opened(s, 'slice.dcm'), opened(s, 'p1.png')
        draft = {'model': 'run', 'indication': 'Pain.', 'text': 'FINDINGS: None.', 'images': [{'id': image['id'], 'frame': 0, 'window': '40,400'}]}
        status, _, report = s.call('POST', '/api/reports', draft)
        check('a draft is kept', status == 201 and (report['state'], report['version'], report['text']) == ('draft', 1, 'FINDINGS: None.'))
        path = f'/api/reports/{report["id"]}'
        check('an edit is another version', s.call('PUT', path, {'text': 'FINDINGS: Naïve.', 'version': 1})[2]['version'] == 2)
        check('an edit of an old one is refused', s.call('PUT', path, {'text': 'x', 'version': 1})[0] == 409)
        check('a draft is no structured report', s.call('GET', path + '/sr')[0] == 409)
        check('it is accepted', s.call('POST', path + '/accept', {'version': 2})[2]['state'] == 'accepted')
        check('and then stays', s.call('PUT', path, {'text': 'x', 'version': 3})[0] == 409)
        check('its text', s.call('GET', path + '/text')[2].startswith('FINDINGS: Naïve.\n'))
        check('a structured report', raw_get(s, path + '/sr')[128:132] == b'DICM' and raw_get(s, path + '/sr?kind=enhanced')[128:132] == b'DICM')
        check('of no other kind', s.call('GET', path + '/sr?kind=x')[0] == 400)
        bad = [{}, [], {**draft, 'more': 1}, {**draft, 'text': 1}, {**draft, 'text': 'x' * 300000}, {**draft, 'images': {}}, {**draft, 'images': [{}]},
               {**draft, 'images': [{'id': image['id'], 'frame': 1}]}, {**draft, 'images': [{'id': image['id'], 'window': 'x'}]}, {**draft, 'complete': 1}, {'text': 'x'}]
        check('what cannot be is refused', all(s.call('POST', '/api/reports', b)[0] == 400 for b in bad))
        check('an image that is not here', s.call('POST', '/api/reports', {**draft, 'images': [{'id': 'x'}]})[0] == 404)
        check('a report that is not there', [s.call(*a)[0] for a in (('GET', '/api/reports/x'), ('DELETE', '/api/reports/x'), ('PUT', '/api/reports/x', {'text': '', 'version': 1}))] == [404] * 3)
        png = s.call('POST', '/api/reports', {**draft, 'images': [{'id': other['id']}]})[2]
        s.call('POST', f'/api/reports/{png["id"]}/accept', {'version': 1})
        status, _, error = s.call('GET', f'/api/reports/{png["id"]}/sr')
        check('of no DICOM image there is none', status == 400 and error['error']['message'].endswith('; save it as text'))
        check('both are listed', {r['id'] for r in s.call('GET', '/api/reports')[2]['reports']} == {report['id'], png['id']})
    with Serve(program, '--state', 'state/here.sqlite') as s:
        s.ready()
        check('they are there in the next run', s.call('GET', path)[2]['text'] == 'FINDINGS: Naïve.')
        check('a structured report needs its images', s.call('GET', path + '/sr')[0] == 409)
        opened(s, 'slice.dcm')
        check('which are known again', raw_get(s, path + '/sr')[128:132] == b'DICM')
        check('removed', s.call('DELETE', path)[0] == 200 and s.call('GET', path)[0] == 404)
    check('nothing of the patient is in the state', not any(mark in f.read_bytes() for f in pathlib.Path('state').iterdir() for mark in (b'planted', b'1.2.3')))


def part_observer(program):
    """Who accepts a report may say so: only then is its structured report verified."""
    write_slice('slice.dcm')
    with Serve(program, '--state', 'state/here.sqlite') as s:
        s.ready()
        draft = {'model': 'run', 'text': 'FINDINGS: None.', 'images': [{'id': opened(s, 'slice.dcm')['id']}]}
        drafted = lambda: f'/api/reports/{s.call("POST", "/api/reports", draft)[2]["id"]}'
        path = drafted()
        bad = ({'observer': 'Planted^Eva'}, {'organization': 'Planted Ward'}, {'observer': 'A\\B', 'organization': 'Planted Ward'}, {'observer': 7, 'organization': 'Planted Ward'},
               {'observer': 'Planted^Eva', 'organization': 'x' * 65}, {'observer': 'Planted^Eva', 'organization': ['x']}, {'observer': 'Planted^Eva', 'organization': 'x', 'more': 1})
        refused = [s.call('POST', path + '/accept', {'version': 1, **b}) for b in bad]
        check('an observer that is none is refused', all(status == 400 and 'Planted' not in json.dumps(error) for status, _, error in refused))
        check('and the report is a draft as before', s.call('GET', path)[2]['state'] == 'draft')
        status, _, report = s.call('POST', path + '/accept', {'version': 1, 'observer': 'Planted^Zoë', 'organization': 'Planted Ward'})
        check('it is accepted by somebody', status == 200 and (report['state'], report['observer'], report['organization']) == ('accepted', 'Planted^Zoë', 'Planted Ward'))
        for kind in ('basic', 'enhanced'):
            pathlib.Path('verified.sr').write_bytes(raw_get(s, f'{path}/sr?kind={kind}'))
            shown = subprocess.run(['dcmdump', '-q', '+U8', 'verified.sr'], capture_output=True, text=True).stdout if shutil.which('dcmdump') else None
            check('its structured report is verified by that person', shown is None or all(w in shown for w in ('(0040,a493) CS [VERIFIED]', '(0040,a075) PN [Planted^Zoë]', '(0040,a027) LO [Planted Ward]', '(0040,a030) DT [2')))
            found = [] if sr_complaints.missing() else sr_complaints.ours('verified.sr', 'slice.dcm')
            check('and in order', not found or sys.exit(f'FAILED: {found}'))
        for body in ({}, {'observer': None, 'organization': ''}):
            other = drafted()
            report = s.call('POST', other + '/accept', {'version': 1, **body})[2]
            check('accepted by nobody that is named', (report['state'], report['observer'], report['organization']) == ('accepted', None, None))
            check('it is unverified', b'UNVERIFIED' in raw_get(s, other + '/sr'))
    with Serve(program, '--state', 'state/here.sqlite') as s:
        s.ready()
        check('the observer is there in the next run', s.call('GET', path)[2]['observer'] == 'Planted^Zoë')
        check('removed with the report', s.call('DELETE', path)[0] == 200)
    check('and out of the file', not any(b'Planted' in f.read_bytes() for f in pathlib.Path('state').iterdir()))
    check('no name is logged', b'Planted' not in pathlib.Path('serve.err').read_bytes())


def part_kills(program):
    """Edits of a report, killed twenty times: what was acknowledged is there, whole."""
    random.seed(7)
    path, acknowledged = None, None
    for life in range(20):
        with Serve(program, '--state', 'kills.sqlite') as s:
            if path is None:
                path = f'/api/reports/{s.call("POST", "/api/reports", {"model": "run", "text": "0"})[2]["id"]}'
                acknowledged = (1, '0')
            report = s.call('GET', path)[2]
            last = report['version'], report['text']
            if last[0] < acknowledged[0] or last[0] > acknowledged[0] + 1 or (last[0] == acknowledged[0] and last != acknowledged):
                sys.exit(f'FAILED: {last} is there and {acknowledged} was acknowledged')
            acknowledged = last
            timer = threading.Timer(random.uniform(0.02, 0.3), s.process.kill)
            timer.start()
            try:
                while True:
                    text = f'{life} {acknowledged[0]} ' + 'words ' * random.randrange(2000)
                    status, _, report = s.call('PUT', path, {'text': text, 'version': acknowledged[0]})
                    if status != 200:
                        sys.exit(f'FAILED: {status} {report}')
                    acknowledged = report['version'], text
            except OSError:
                pass
            except __import__('http.client').client.HTTPException:
                pass
            timer.join()
    check(f'{acknowledged[0]} edits, killed twenty times: nothing acknowledged is lost', acknowledged[0] > 40)


if __name__ == '__main__':
    {'images': part_images, 'reports': part_reports, 'observer': part_observer, 'kills': part_kills}[sys.argv[2]](sys.argv[1])
