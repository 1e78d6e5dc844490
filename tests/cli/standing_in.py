"""What the tests of a client share: a stand-in for a server (stand_in.py) that runs beside them in their folder, and its logs."""
import atexit
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent


def check(what, right):
    if not right:
        sys.exit(f'FAILED: {what}')
    print(f'ok: {what}')


class Server:
    def __init__(self, *options):
        for name in ('port', 'served.jsonl'):
            pathlib.Path(name).unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, HERE / 'stand_in.py', 'port', 'served.jsonl', *options])
        atexit.register(self.end)
        while not os.path.exists('port'):
            time.sleep(0.01)
        self.url = f'http://127.0.0.1:{pathlib.Path("port").read_text()}/v1'

    def lines(self):
        return [json.loads(line) for line in pathlib.Path('served.jsonl').read_text().split('\n') if line]

    def end(self):
        self.process.kill()
        self.process.wait()


def whole_lines(name):
    """Of a file of JSON lines that may be written to, or not be there; a last one may be half."""
    return [json.loads(line) for line in pathlib.Path(name).read_bytes().split(b'\n')[:-1]] if os.path.exists(name) else []
