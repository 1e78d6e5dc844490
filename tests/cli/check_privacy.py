#!/usr/bin/env python3
"""Plants marks wherever an image file can say who it is of (DICOM elements of every representation that holds text, private ones, in sequences,
in the meta header; JPEG comments and EXIF, PNG text, TIFF tags; a table's column `patient`), runs every command that reads images on these
files and on broken ones, and searches every byte that was printed or written for the marks: plain, in UTF-16, in base64, as JSON writes
them. None may be found but in the structured report, and with `inspect --identifiers`, where they must be.

Names of files and folders are the user's own and not searched for; nor are codes in capitals that say what an image is, as its modality.

usage: check_privacy.py PEFOMED [--strace]     works in the folder in which it is started, after make_tiny_training
--strace: also look for files opened for writing elsewhere
"""
import base64
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import zlib

from standing_in import Server, check

SOURCE = pathlib.Path(__file__).resolve().parents[2]
MARKS = {}  # what was planted: where
UID = '1.2.826.0.1.4815162342.'


def mark(where, make='Qzx{}Planted'):
    text = make.format(len(MARKS) + 11)
    MARKS[text] = where
    return text.encode('latin-1')


# ---- files ----
LONG = (b'OB', b'OD', b'OF', b'OL', b'OV', b'OW', b'SQ', b'UC', b'UN', b'UR', b'UT')


def element(group, number, vr, value):
    vr = vr.encode()
    value += (b'\0' if vr in (b'UI', b'OB', b'UN') else b' ') * (len(value) % 2)
    if vr in LONG:
        return struct.pack('<HH', group, number) + vr + b'\0\0' + struct.pack('<I', len(value)) + value
    return struct.pack('<HH', group, number) + vr + struct.pack('<H', len(value)) + value


def item(*elements):
    inside = b''.join(elements)
    return struct.pack('<HHI', 0xFFFE, 0xE000, len(inside)) + inside


VALUES = {'AE': 'Qzx{}AE', 'CS': 'QZX{}PLANTED', 'DA': '195309{}', 'DS': '77.3175{}', 'DT': '195309{}112233', 'IS': '48151{}', 'TM': '1122{}.48151', 'UI': UID + '{}'}


def planted(group, number, vr, what):
    return element(group, number, vr, mark(what, VALUES.get(vr, 'Qzx{}Planted')))


def identity():
    """[(tag, bytes)] of patient, study, place and people, then every representation in a private block and in nested sequences."""
    names = [(0x0008, n, vr) for n, vr in ((0x0020, 'DA'), (0x0021, 'DA'), (0x0022, 'DA'), (0x0023, 'DA'), (0x002A, 'DT'), (0x0030, 'TM'), (0x0050, 'SH'), (0x0080, 'LO'),
             (0x0081, 'ST'), (0x0090, 'PN'), (0x1010, 'SH'), (0x1030, 'LO'), (0x103E, 'LO'), (0x1040, 'LO'), (0x1048, 'PN'), (0x1050, 'PN'), (0x1060, 'PN'), (0x1070, 'PN'))]
    names += [(0x0010, n, vr) for n, vr in ((0x0010, 'PN'), (0x0020, 'LO'), (0x0021, 'LO'), (0x0030, 'DA'), (0x1000, 'LO'), (0x1001, 'PN'), (0x1030, 'DS'), (0x1040, 'LO'),
              (0x2154, 'SH'), (0x4000, 'LT'))]
    names += [(0x0018, 0x1000, 'LO'), (0x0018, 0x1030, 'LO'), (0x0018, 0x9074, 'DT'), (0x0020, 0x0010, 'SH'), (0x0020, 0x4000, 'LT'), (0x0032, 0x1060, 'LO'), (0x0040, 0x0244, 'DA'),
              (0x0008, 0x0018, 'UI'), (0x0020, 0x000D, 'UI'), (0x0020, 0x000E, 'UI'), (0x0020, 0x0052, 'UI')]
    found = [((g, n), planted(g, n, vr, f'({g:04X},{n:04X}) {vr}')) for g, n, vr in names]
    inner = item(planted(0x0040, 0xA123, 'PN', 'a name, two sequences deep'), planted(0x0040, 0xA160, 'UT', 'a text, two sequences deep'))
    found.append(((0x0040, 0x0275), element(0x0040, 0x0275, 'SQ', item(planted(0x0040, 0x0007, 'LO', 'a request'), element(0x0040, 0x0008, 'SQ', inner)))))
    found.append(((0x0029, 0x0010), planted(0x0029, 0x0010, 'LO', 'a private creator')))
    for i, vr in enumerate(('AE', 'CS', 'DA', 'DS', 'DT', 'IS', 'LO', 'LT', 'OB', 'PN', 'SH', 'ST', 'TM', 'UC', 'UI', 'UN', 'UR', 'UT')):
        found.append(((0x0029, 0x1001 + i), planted(0x0029, 0x1001 + i, vr, f'a private {vr}')))
    return found


def dicom(path, bits=8, columns=64, extra=(), cut=None, wrong=None):
    size, number = bits // 8, lambda v: struct.pack('<H', v)
    pixels = b''.join((i * 37 % 251).to_bytes(size, 'little') for i in range(columns * columns))
    parts = dict(identity())
    parts.update({(0x0008, 0x0016): element(0x0008, 0x0016, 'UI', b'1.2.840.10008.5.1.4.1.1.2'), (0x0008, 0x0060): element(0x0008, 0x0060, 'CS', b'CT'),
                  (0x0028, 0x0002): element(0x0028, 0x0002, 'US', number(1)), (0x0028, 0x0004): element(0x0028, 0x0004, 'CS', b'MONOCHROME2'),
                  (0x0028, 0x0010): element(0x0028, 0x0010, 'US', number(columns)), (0x0028, 0x0011): element(0x0028, 0x0011, 'US', number(columns)),
                  (0x0028, 0x0100): element(0x0028, 0x0100, 'US', number(bits)), (0x0028, 0x0101): element(0x0028, 0x0101, 'US', number(bits)),
                  (0x0028, 0x0102): element(0x0028, 0x0102, 'US', number(bits - 1)), (0x0028, 0x0103): element(0x0028, 0x0103, 'US', number(0)),
                  (0x7FE0, 0x0010): element(0x7FE0, 0x0010, 'OB' if bits == 8 else 'OW', pixels)})
    if wrong:  # an element that decides something says a mark instead
        parts[wrong] = element(*wrong, 'LO', mark(f'({wrong[0]:04X},{wrong[1]:04X}) that should be a number'))
    parts.update(extra)
    meta = element(0x0002, 0x0003, 'UI', mark('the meta header UID', UID + '{}')) + element(0x0002, 0x0010, 'UI', b'1.2.840.10008.1.2.1') + \
        planted(0x0002, 0x0016, 'AE', 'the meta header AE')
    whole = mark('the preamble').ljust(128, b'\0') + b'DICM' + element(0x0002, 0x0000, 'UL', struct.pack('<I', len(meta))) + meta
    whole += b''.join(parts[tag] for tag in sorted(parts))
    pathlib.Path(path).write_bytes(whole[:cut] if cut else whole)


def exif():
    text = mark('EXIF') + b'\0'
    return b'II*\0\x08\0\0\0' + struct.pack('<HHHIII', 1, 0x010E, 2, len(text), 26, 0) + text


def png(path, cut=None):
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    rows = b''.join(b'\0' + bytes((x * y) % 256 for x in range(64)) for y in range(64))
    whole = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 64, 64, 8, 0, 0, 0, 0))
    whole += chunk(b'tEXt', b'Author\0' + mark('PNG tEXt')) + chunk(b'iTXt', b'Title\0\0\0\0\0' + mark('PNG iTXt')) + chunk(b'zTXt', b'Comment\0\0' + zlib.compress(mark('PNG zTXt'), 0))
    whole += chunk(b'eXIf', exif()) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    pathlib.Path(path).write_bytes(whole[:cut] if cut else whole)


def jpeg(path, cut=None):
    held = (SOURCE / 'tests/image/golden/dicom/jpeg_rgb.dcm').read_bytes()
    held = held[held.index(b'\xff\xd8\xff'):held.rindex(b'\xff\xd9') + 2]

    def segment(kind, data):
        return b'\xff' + kind + struct.pack('>H', len(data) + 2) + data
    whole = held[:2] + segment(b'\xfe', mark('JPEG comment')) + segment(b'\xe1', b'Exif\0\0' + exif()) + segment(b'\xed', b'Photoshop 3.0\0' + mark('JPEG IPTC')) + held[2:]
    pathlib.Path(path).write_bytes(whole[:cut] if cut else whole)


def tiff(path):
    text = mark('TIFF description') + b'\0'
    entries = [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (270, 2, len(text), 4500), (273, 4, 1, 200), (278, 3, 1, 64), (279, 4, 1, 4096)]
    whole = b'II*\0\x08\0\0\0' + struct.pack('<H', len(entries)) + b''.join(struct.pack('<HHII', *e) for e in entries) + b'\0' * 4
    pathlib.Path(path).write_bytes((whole.ljust(200, b'\0') + bytes(4096)).ljust(4500, b'\0') + text)


# ---- the search ----
def forms(text):
    """How a text may have been written."""
    plain = text.encode()
    yield plain
    yield text.encode('utf-16-le')
    yield text.encode('utf-16-be')
    yield json.dumps(text)[1:-1].encode()
    for shift in range(3):  # what does not depend on what stands beside it
        whole = base64.b64encode(b'\0' * shift + plain)
        yield whole[4 if shift else 0:len(whole) // 4 * 4 - 4]


def compile_marks():
    found = {}
    for text, where in MARKS.items():
        for form in forms(text):
            if len(form) >= 6:
                found[form] = (text, where)
    return re.compile(b'|'.join(re.escape(f) for f in sorted(found, key=len, reverse=True))), found


class Search:
    def __init__(self, strace):
        self.pattern, self.known = compile_marks()
        self.inputs, self.bytes, self.leaks, self.commands, self.strace = set(pathlib.Path('.').rglob('*')), 0, [], 0, strace

    def look(self, data, where):
        self.bytes += len(data)
        return [f'{self.known[m][1]} in {where}' for m in set(self.pattern.findall(data))]

    def run(self, program, *words, exits=(0,)):
        command = ([] if not self.strace else ['strace', '-f', '-o', 'strace.out', '-e', 'trace=openat,creat,rename,renameat2']) + [program, *words]
        done = subprocess.run(command, capture_output=True)
        self.commands += 1
        self.leaks += self.look(done.stdout, f'stdout of {" ".join(words)}') + self.look(done.stderr, f'stderr of {" ".join(words)}')
        if done.returncode not in exits:
            sys.exit(f'FAILED: {" ".join(words)}: exit {done.returncode}: {done.stderr.decode(errors="replace")}')
        if self.strace:
            for line in pathlib.Path('strace.out').read_text(errors='replace').splitlines():
                at = re.search(r'openat\(.*?"(.*?)", [^,)]*O_(?:WRONLY|RDWR)', line)
                if at and at[1].startswith('/') and not at[1].startswith((os.getcwd(), '/dev/', '/proc/')):
                    self.leaks.append(f'a file written elsewhere: {at[1]}')
            os.remove('strace.out')
        return done

    def written(self, skip=()):
        """Everything that is in the folder now and was not, the temporary folder and the program's home in it."""
        for path in sorted(pathlib.Path('.').rglob('*')):
            if path.is_file() and path not in self.inputs and str(path) not in skip:
                self.leaks += self.look(path.read_bytes(), str(path))


def make_files():
    for i in range(4):
        dicom(f'whole-{i}.dcm', bits=16 if i % 2 else 8)
    png('text.png'), jpeg('comment.jpg'), tiff('tags.tif')
    size = os.path.getsize('whole-0.dcm')
    broken = [f'cut-{i}.dcm' for i in range(6)]
    for i, path in enumerate(broken):
        dicom(path, cut=200 + (size - 200) * i // 6)
    for tag in ((0x0028, 0x0010), (0x0028, 0x0100), (0x0028, 0x0004), (0x0028, 0x0002), (0x0028, 0x1050), (0x0028, 0x1053), (0x0028, 0x0008), (0x0028, 0x3010), (0x0008, 0x0016)):
        broken.append(f'wrong-{tag[0]:04x}-{tag[1]:04x}.dcm')
        dicom(broken[-1], bits=16, wrong=tag)
    broken += ['cut.png', 'cut.jpg', 'tags.tif']
    png('cut.png', cut=260), jpeg('cut.jpg', cut=220)
    images = ['whole-0.dcm', 'whole-1.dcm', 'whole-2.dcm', 'text.png', 'comment.jpg', 'whole-3.dcm']
    rows = [json.loads(line) for line in pathlib.Path('table.jsonl').read_text().splitlines()]
    pictures = sorted({row['image'] for row in rows})
    for row in rows:
        number = pictures.index(row['image']) % len(images)
        row['image'] = images[number]
        row['split'] = 'validate' if number == 5 else 'train'
        row['patient'] = mark('the column patient', 'Qzx{}Column').decode() if row['image'].endswith('g') else f'Qzx11Column{number}'
    pathlib.Path('planted.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    rows[0]['image'] = 'cut-5.dcm'
    pathlib.Path('broken.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    case = {'images': ['text.png', 'comment.jpg', 'whole-0.dcm', 'whole-2.dcm'], 'question': 'Q', 'answer': 'measles', 'split': 'validate', 'id': 'a'}
    pathlib.Path('case.jsonl').write_text(json.dumps(case) + '\n')
    pathlib.Path('judged.jsonl').write_text(json.dumps({'id': 1, 'image': 'whole-0.dcm', 'reference': 'Report on item-1.', 'prediction': 'None.'}) + '\n')
    return images, broken


def use_models(s, program):
    s.run(program, 'train', 'tiny.yaml', '--data', 'planted.jsonl', '--out', 'run')
    s.run(program, 'eval', 'run', '--data', 'planted.jsonl', '--split', 'validate', '--json')
    s.run(program, 'ask', 'run', 'whole-0.dcm', 'Where?', '--json', '--record', 'answers.jsonl')
    s.run(program, 'ask', 'run', 'whole-0.dcm', 'whole-1.dcm', 'Where?')
    s.run(program, 'report', 'caption.yaml', 'whole-1.dcm', '--json', '--max-tokens', '5')
    s.run(program, 'report', 'caption.yaml', 'comment.jpg', '--max-tokens', '5')
    s.run(program, 'export', 'run', 'exported')
    s.run(program, 'inspect', 'run', '--json')
    s.run(program, 'compare', 'tiny.yaml', '--data', 'planted.jsonl', '--out', 'compared')
    s.run(program, 'index', 'planted.jsonl', '--out', 'index.db', exits=(0, 1))


def use_servers(s, program):
    server = Server('--bodies', 'bodies')  # searched too: what is sent is pixels
    s.run(program, 'pipeline', 'wanglab-two-calls', '--data', 'case.jsonl', '--url', server.url, '--model', 'm', '--out', 'piped', '--json')
    check('pictures were sent', pathlib.Path('bodies').read_bytes().count(b';base64,') >= 4)
    s.run(program, 'judge', 'judged.jsonl', '--rubric', 'likert-report', '--url', server.url, '--model', 'm', exits=(0, 1))
    server.end()


def main():
    program, strace = shutil.which(sys.argv[1]) or sys.argv[1], '--strace' in sys.argv
    images, broken = make_files()
    pathlib.Path('caption.yaml').write_text(re.sub(r'Look at.*\{question\}', 'Describe this image.', pathlib.Path('tiny.yaml').read_text()))
    for name in ('home', 'temporary'):
        os.mkdir(name)
    os.environ.update(PEFOMED_HOME=os.path.abspath('home'), HOME=os.path.abspath('home'), TMPDIR=os.path.abspath('temporary'))
    s = Search(strace)
    for path in images + broken:
        fails = (0, 1, 2) if path in broken else (0,)
        for words in (('image', path, 'seen.png', '--json'), ('image', path, 'seen.png', '--window', 'lung'), ('inspect', path), ('inspect', path, '--json')):
            s.run(program, *words, exits=(0, 1, 2) if 'lung' in words else fails)
    for path in broken:
        s.run(program, 'ask', 'tiny.yaml', path, 'Where?', '--json', '--max-tokens', '2', exits=(0, 1, 2))
        s.run(program, 'ask', 'tiny.yaml', path, 'Where?', '--sr', 'broken.sr', '--max-tokens', '2', exits=(0, 1, 2))
        pathlib.Path('broken.sr').unlink(missing_ok=True)
    for data in ('planted.jsonl', 'broken.jsonl'):
        s.run(program, 'data', 'table', data, exits=(0, 1))
        s.run(program, 'data', 'table', data, '--json', exits=(0, 1))
    s.run(program, 'train', 'tiny.yaml', '--data', 'broken.jsonl', '--out', 'broken-run', exits=(1, 2))
    use_models(s, program)
    use_servers(s, program)
    # The exception, and proof that the search finds: a report carries the patient, and so does what was asked for openly.
    s.run(program, 'report', 'caption.yaml', 'whole-1.dcm', '--sr', 'report.sr', '--max-tokens', '5')
    s.written(skip=('report.sr',))
    told = subprocess.run([program, 'inspect', 'whole-1.dcm', '--identifiers'], capture_output=True).stdout
    check('a structured report carries the patient', len(s.look(pathlib.Path('report.sr').read_bytes(), 'the report')) > 10)
    check('inspect --identifiers tells', len(s.look(told, 'inspect')) > 10)
    for leak in sorted(set(s.leaks)):
        print(f'FOUND: {leak}')
    check(f'{len(MARKS)} marks, {s.commands} commands, {s.bytes} bytes searched: {len(set(s.leaks))} found', not s.leaks)


if __name__ == '__main__':
    main()
