# SPDX-License-Identifier: Apache-2.0
"""What tests of dumps of both kinds of servers share: a database that is written to without end."""

import contextlib
import os
import subprocess
import threading
import time
import unittest

LONG = os.environ.get('BACKUPX_TEST_LONG') == '1'
FORMATS = ('archive', 'repository')
#: Tables of a database of everything.
TABLES = 200 if LONG else 3
#: Rows of about 1 KiB of the table that is written to.
ROWS = (1024 if LONG else 4) << 10


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
