#!/usr/bin/env python3
"""Runs the command-line cases of tests/cli/*.test: what is typed, and what must come out.

A case is a paragraph; lines that begin with # are comments. Each case runs in a fresh folder,
with another one, empty too, as its $PEFOMED_HOME.
    case: what it shows
    file NAME: contents (\\n is a new line; several lines of the same name are joined)
    env NAME=VALUE
    run: pefomed ...             words are split as a shell does, no shell runs; $DIR is the case's folder, $SOURCE the tree
    shell: ...                   instead of run: a line for bash, with pefomed and make_tiny_training on its path
    tty: yes                     stderr is a terminal of 80 columns
    needs: PATH                  the case is skipped, saying so, where this path does not exist
    exit: N                      default 0
    stdout: TEXT                 a line that must stand there; several: in this order
    stdout ~ REGEX               must match somewhere
    stdout !~ REGEX              must match nowhere
    stdout empty
    stdout json                  exactly one JSON document
    json PATH = VALUE            a member of that document (PATH as a.b.0; VALUE is JSON)
    json PATH is TYPE            object, array, string, number, boolean, null
    stderr ...                   as stdout
What holds for every case is checked without being asked: a failing command ends stderr with one line `pefomed: error: ...`
(with --quiet it is all there is anywhere), a successful one prints no such line, and nothing says `Sanitizer`.

usage: run_cases.py PROGRAM SOURCE [FILE.test]...
"""
import json
import os
import pathlib
import pty
import re
import shlex
import subprocess
import sys
import tempfile
import threading

TYPES = {'object': dict, 'array': list, 'string': str, 'number': (int, float), 'boolean': bool, 'null': type(None)}
CASE_SECONDS = 300


class Wrong(Exception):
    pass


def parse(path):
    """[[(line number, key, text)]]: the paragraphs of a file."""
    cases, current = [], []
    for number, line in enumerate(path.read_text().split('\n'), 1):
        if line.startswith('#'):
            continue
        if not line.strip():
            if current:
                cases.append(current)
            current = []
            continue
        match = re.match(r'(file [^:]+|env \w+|std(?:out|err) !?~|std(?:out|err) (?:empty|json)$|json|case|run|shell|tty|needs|exit|stdout|stderr)'
                         r'(?:[:=]? ?)(.*)', line)
        if match is None:
            sys.exit(f'{path}:{number}: cannot read: {line}')
        current.append((number, match[1], match[2]))
    return cases + [current] if current else cases


def read_terminal(master, chunks):
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            return
        if not chunk:
            return
        chunks.append(chunk)


def execute(command, folder, environment, terminal):
    """(exit status, stdout, stderr) of a command."""
    if not terminal:
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=CASE_SECONDS)
        return done.returncode, done.stdout.decode(), done.stderr.decode()
    master, slave = pty.openpty()
    import fcntl
    import struct
    import termios
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 80, 0, 0))
    chunks = []
    reader = threading.Thread(target=read_terminal, args=(master, chunks))
    reader.start()
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, timeout=CASE_SECONDS)
    os.close(slave)
    reader.join()
    os.close(master)
    return done.returncode, done.stdout.decode(), b''.join(chunks).decode()


def member(document, path):
    for part in [p for p in path.split('.') if p]:
        try:
            document = document[int(part)] if isinstance(document, list) else document[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Wrong(f'json has no {path}') from None
    return document


def check_stream(name, rule, wanted, text, state):
    if rule == 'empty' and text:
        raise Wrong(f'{name} is not empty')
    if rule == '' and wanted:
        at = text.find('\n' + wanted + '\n', state.get(name, 0))
        if at < 0:
            raise Wrong(f'{name} has no line (here): {wanted}')
        state[name] = at + 1
    if rule == '~' and re.search(wanted, text, re.MULTILINE) is None:
        raise Wrong(f'{name} does not match: {wanted}')
    if rule == '!~' and re.search(wanted, text, re.MULTILINE) is not None:
        raise Wrong(f'{name} matches: {wanted}')
    if rule == 'json':
        try:
            state['json'] = json.loads(text)
        except ValueError as error:
            raise Wrong(f'{name} is not one JSON document: {error}') from None


def check_json(text, state):
    if 'json' not in state:
        raise Wrong('write `stdout json` above')
    match = re.fullmatch(r'(\S*) (=|is) (.*)', text)
    if match is None:
        raise Wrong(f'cannot read: json {text}')
    value = member(state['json'], match[1])
    if match[2] == '=' and value != json.loads(match[3]):
        raise Wrong(f'json {match[1]} is {json.dumps(value)}, not {match[3]}')
    if match[2] == 'is' and (not isinstance(value, TYPES[match[3]]) or (match[3] == 'number' and isinstance(value, bool))):
        raise Wrong(f'json {match[1]} is {json.dumps(value)}, not of type {match[3]}')


def check_always(command, status, out, err, interrupted):
    """What holds for every command."""
    if 'Sanitizer' in err or 'runtime error' in err:
        raise Wrong('a sanitizer complained')
    errors = re.findall(r'^pefomed: error: .+$', err, re.MULTILINE)
    if status == 0 and errors:
        raise Wrong('exit 0 with an error line')
    if status not in (0, 1, 2, interrupted):
        raise Wrong(f'exit status {status} is none of 0, 1, 2, 130')
    if status != 0 and (len(errors) != 1 or err.rstrip('\n').split('\n')[-1].rstrip('\r') != errors[0].rstrip('\r')):
        raise Wrong('a failing command ends stderr with one line `pefomed: error: ...`')
    if status != 0 and '--quiet' in command and (out or err.rstrip('\r\n') != errors[0]):
        raise Wrong('with --quiet the error is one line on stderr and nothing else anywhere')


def check(case, command, status, out, err):
    wanted_status = next((int(text) for _, key, text in case if key == 'exit'), 0)
    if status != wanted_status:
        raise Wrong(f'exit status {status}, not {wanted_status}')
    if command[0] != 'bash':
        check_always(command, status, out, err, 130)
    state = {}
    for number, key, text in case:
        try:
            if key.startswith('stdout') or key.startswith('stderr'):
                name, _, rule = key.partition(' ')
                stream = {'stdout': out, 'stderr': err}[name]
                check_stream(name, rule, text, '\n' + stream if rule == '' else stream, state)
            elif key == 'json':
                check_json(text, state)
        except Wrong as wrong:
            raise Wrong(f'line {number}: {wrong}') from None


def run_case(case, program, source):
    """None, or why the case was skipped; raises Wrong."""
    with tempfile.TemporaryDirectory(prefix='pefomed-cli-') as folder, tempfile.TemporaryDirectory(prefix='pefomed-home-') as home:
        expand = lambda text: text.replace('$DIR', folder).replace('$SOURCE', source)
        programs = f'{os.path.dirname(program)}:{os.path.dirname(program)}/tests/cli'
        environment = dict(os.environ, PATH=f'{programs}:{os.environ["PATH"]}', PFM_SCRATCH=folder, PEFOMED_HOME=home, TERM='xterm', LC_ALL='C.UTF-8')
        command, files = None, {}
        for _, key, text in case:
            if key == 'needs' and not os.path.exists(expand(text)):
                return f'no {text}'
            if key.startswith('env '):
                environment[key[4:]] = expand(text)
            if key.startswith('file '):
                files[key[5:]] = files.get(key[5:], '') + text.encode().decode('unicode_escape') + '\n'
            if key == 'run':
                words = shlex.split(expand(text))
                command = [program if words[0] == 'pefomed' else words[0]] + words[1:]
            if key == 'shell':
                command = ['bash', '-c', expand(text)]
        for name, contents in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(contents)
        if command is None:
            raise Wrong('the case runs nothing')
        status, out, err = execute(command, folder, environment, any(key == 'tty' for _, key, _ in case))
        try:
            check(case, command, status, out, err)
        except Wrong as wrong:
            raise Wrong(f'{wrong}\n    command: {shlex.join(command)}\n    exit: {status}\n    stdout: {out[:2000]!r}\n    stderr: {err[:2000]!r}') from None
    return None


def main():
    program, source = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    paths = [pathlib.Path(p) for p in sys.argv[3:]] or sorted(pathlib.Path(source, 'tests', 'cli').glob('*.test'))
    ran = failed = 0
    for path in paths:
        for case in parse(path):
            title = next((text for _, key, text in case if key == 'case'), '(no title)')
            try:
                skipped = run_case(case, program, source)
                ran += skipped is None
                if skipped is not None:
                    print(f'{path.name}: skipped: {title} ({skipped})')
            except (Wrong, subprocess.TimeoutExpired) as wrong:
                failed += 1
                print(f'{path.name}:{case[0][0]}: FAILED: {title}\n    {wrong}')
    print(f'{ran} cases, {failed} failed')
    sys.exit(1 if failed or ran == 0 else 0)


main()
