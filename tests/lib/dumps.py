# SPDX-License-Identifier: Apache-2.0
"""What tests of dumps of both kinds of servers share: the tool, and a database that is written to without end."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

TOOL = os.path.join(os.environ['BACKUPX_BUILD'], 'tests/databases/database-tool')
LONG = os.environ.get('BACKUPX_TEST_LONG') == '1'
FORMATS = ('archive', 'repository')
#: Tables of a database of everything.
TABLES = 200 if LONG else 3
#: Rows of about 1 KiB of the table that is written to.
ROWS = (1024 if LONG else 4) << 10
#: KiB that the program of ours may have, and each of those that it starts, however large the database is.
MEMORY_MAX = 128 << 10


class DumpCase(unittest.TestCase):
    """A server that is backed up by the tool, and one that is restored into: each class makes its own."""

    server = fresh = None
    #: What the tool's words for this kind of server begin with.
    kind = ''
    #: Who logs in.
    user = password = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix=f'backupx-{type(self).__name__.lower()}-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.n = 0

    def place(self):
        """A new empty target."""
        self.n += 1
        path = f'{self.folder}/{self.n}'
        os.mkdir(path)
        return path

    def where(self, server, user=None, tls=None):
        """tls: what else it says of the way there."""
        return {'host': '127.0.0.1', 'port': server.port, 'user': user or self.user, **(tls or {})}

    def run_tool(self, *words, code=None, password=None, **environment):
        """What it said; code: that it has to fail with."""
        password = password or self.password
        done = subprocess.run([TOOL, *words], capture_output=True, check=False, timeout=600,
                              env={**os.environ, 'DATABASE_PASSWORD': password, **environment})
        self.assertEqual(done.returncode, 4 if code else 0, (done.stdout, done.stderr))
        self.assertNotIn(password.encode(), done.stdout + done.stderr)
        result = json.loads(done.stdout)
        if code:
            self.assertEqual(result['code'], code, result)
        return result

    def backup(self, form, place, databases=(), *, code=None, user=None, server=None, tls=None, source=None,
               **more):
        """source: what else it says."""
        source = {'server': self.where(server or self.server, user, tls), **(source or {})}
        if databases:
            source['databases'] = list(databases)
        result = self.run_tool(self.kind + 'backup', form, place, json.dumps(source), code=code, **more)
        if code:
            self.assert_nothing(form, place)
        return result

    def assert_nothing(self, form, place):
        """Nothing has a final name: no manifest, no snapshot."""
        found = [os.path.join(here, n) for here, _, names in os.walk(place) for n in names]
        if form == 'archive':
            self.assertEqual(found, [])
        else:
            self.assertEqual([f for f in found if '/snapshots/' in f or '/locks/' in f], [])

    def restore(self, form, place, path, name, *words, code=None, server=None, tls=None, **more):
        where = json.dumps(self.where(server or self.fresh, tls=tls))
        return self.run_tool(self.kind + 'restore', form, place, path, where, name, *words, code=code, **more)

    def check_memory(self, result):
        """What a backup or a restore took; that of the sanitizers is not looked at."""
        if 'ASAN_OPTIONS' in os.environ:
            return
        for key in ('peak_kib', 'programs_kib'):
            self.assertGreater(result[key], 0, key)
            self.assertLess(result[key], MEMORY_MAX, key)


def change(n):
    """The n-th transaction, the same on every server; it touches three tables."""
    return (f"BEGIN; UPDATE a SET n = {n}, v = repeat(md5('{n}'), 30) WHERE id = {n * 7919 % ROWS + 1};"
            f" INSERT INTO b VALUES ({n}, md5('{n}')); UPDATE version SET n = {n}; COMMIT;\n")


def changes(n):
    """All of them until the n-th."""
    return ''.join(map(change, range(1, n + 1)))


class Writer:
    """Makes one change after the other through a client, for as long as it is entered."""

    def __init__(self, command):
        self.command = command
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.write, daemon=True)

    def write(self):
        with subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
            n = 0
            while not self.ending.is_set():
                n += 1
                client.stdin.write(change(n).encode())
                client.stdin.flush()
                # A client that reads slowly is not far behind.
                time.sleep(0.001)
            client.stdin.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.thread.join()


def held(real, mark):
    """A script in the place of the dump program: half way it waits until the file mark is gone."""
    return f'{real} "$@" | {{ head -c 1000000; touch {mark}; while [ -e {mark} ]; do sleep 0.05; done; cat; }}'


@contextlib.contextmanager
def full(place):
    """A target on which there is room for the beginning of a dump."""
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', place], check=False).returncode:
        raise unittest.SkipTest('cannot mount a tmpfs here')
    try:
        yield
    finally:
        subprocess.run(['umount', place], check=True)


class Half:
    """Does something when a held dump is half way, and lets it go on."""

    def __init__(self, mark, do):
        self.mark, self.do = mark, do
        self.thread = threading.Thread(target=self.wait, daemon=True)

    def wait(self):
        end = time.monotonic() + 600
        while not os.path.exists(self.mark):
            if time.monotonic() > end:
                return
            time.sleep(0.01)
        try:
            self.do()
        finally:
            os.unlink(self.mark)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.thread.join(600)


def written(ask, count=20):
    """Waits until so many changes more were made: ask() gives their number."""
    until, end = ask() + count, time.monotonic() + 120
    while ask() < until:
        assert time.monotonic() < end, 'nothing is written'
        time.sleep(0.02)
