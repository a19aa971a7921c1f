#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backint for SAP HANA: the real program against a driver of the database's side, written from the published
interface (hana.py). No database of SAP takes part.

BACKUPX_TEST_LONG=1: 2,000 pieces and 1 GiB."""

import fcntl
import hashlib
import json
import os
import queue
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'storage'), os.path.join(HERE, '..', 'lib')]

import fake_s3  # noqa: E402 pylint: disable=wrong-import-position
import hana  # noqa: E402 pylint: disable=wrong-import-position
from hana import Hana, Piece, quote  # noqa: E402 pylint: disable=wrong-import-position

BUILD = os.environ['BACKUPX_BUILD']
PROGRAM = os.path.join(BUILD, 'agent/backupx-backint')
LONG = os.environ.get('BACKUPX_TEST_LONG') == '1'
STREAMS = 8
PIECES = 2000 if LONG else 96
MEMORY_MAX = 128 << 20


class Case(unittest.TestCase):
    """A database, a storage, and the parameter file between them."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='backupx-backint-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.storage = self.path('storage')
        self.parameters = self.path('param')
        os.mkdir(self.storage)
        os.mkdir(self.path('pipes'))
        self.write_parameters()
        self.hana = Hana([PROGRAM], self.parameters, self.path('pipes'))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_parameters(self, *lines, storage=None, catalog=True, log=None):
        text = ['#STORAGE_TYPE = local',
                '#STORAGE_CONFIG_JSON = ' + json.dumps({'path': storage or self.storage}),
                '#COMPRESSION_LEVEL = 1', '#LOG_FILE = ' + (log or self.path('log')), *lines]
        if not any('PARALLEL_FACTOR' in line for line in lines):
            text.append(f'#PARALLEL_FACTOR = {STREAMS}')
        if catalog:
            text.append('#CATALOG_DB = ' + self.path('catalog.db'))
        with open(self.parameters, 'w', encoding='utf-8') as file:
            file.write('\n'.join(text) + '\n')
        os.chmod(self.parameters, 0o600)

    def pieces(self, count, most=1 << 19, seed=1):
        """Pieces of all sizes, with names as the database has them."""
        source = random.Random(seed)
        pieces = []
        for i in range(count):
            size = source.choice([0, 1, 65536, 1 << 20, source.randrange(most), source.randrange(4096)])
            name = f'COMPLETE DATA "{i}"' if i % 10 == 0 else f'log_backup_{i}_0_{size}_{i}'
            pieces.append(Piece(self.hana.pipe(name), size, (seed, i).__hash__()))
        return pieces

    def objects(self):
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.storage) for name in names]

    def check_restore(self, pieces, ebids):
        """All of them come back as they were."""
        wanted = [(ebids[p.path], p.path) for p in pieces]
        for piece, result in zip(pieces, self.hana.restore(wanted)):
            self.assertEqual(result, (piece.size, piece.digest()), piece.path)

    def file(self, name, data):
        path = self.path(name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def save_file(self, name, data=b'x' * 100000):
        """A file that was saved: its path and EBID."""
        path = self.file(name, data)
        answers = self.hana.call('backup', [f'#FILE {quote(path)}'])
        return path, answers.of('#SAVED')[0][0]


class Rounds(Case):
    """Backup, inquiry, restore, removal of many pieces."""

    def test_many(self):
        pieces = self.pieces(PIECES)
        ebids = self.hana.back_up(pieces, STREAMS)
        self.assertEqual(len(set(ebids.values())), len(pieces))
        answers = self.hana.call('inquire', [f'#EBID {quote(ebids[p.path])} {quote(p.path)}' for p in pieces])
        self.assertEqual([e for e, _ in answers.of('#BACKUP')], [ebids[p.path] for p in pieces])
        # The newest first.
        everything = [tuple(words) for words in self.hana.call('inquire', ['#NULL']).of('#BACKUP')]
        self.assertEqual(sorted(everything), sorted((e, p) for p, e in ebids.items()))
        self.assertEqual([e for e, _ in everything], sorted((e for e, _ in everything), reverse=True))
        shuffled = list(pieces)
        random.Random(2).shuffle(shuffled)
        self.check_restore(shuffled, ebids)

        gone, kept = pieces[::2], pieces[1::2]
        lines = [f'#EBID {quote(ebids[p.path])} {quote(p.path)}' for p in gone]
        self.assertEqual(len(self.hana.call('delete', lines).of('#DELETED')), len(gone))
        self.assertEqual(len(self.hana.call('delete', lines).of('#NOTFOUND')), len(gone))
        self.assertEqual(len(self.objects()), len(kept))
        self.assertEqual(len(self.hana.call('inquire', ['#NULL']).of('#BACKUP')), len(kept))

    def test_killed(self):
        """kill -9 in the middle: what was #SAVED is there and whole, what is there is whole, the rest is saved by
        the next call."""
        pieces = self.pieces(PIECES, seed=3)
        held, killed = {p.path for p in pieces[len(pieces) * 2 // 3:]}, threading.Event()

        def send(piece):
            """Of the last third, streams get stuck in their first piece, half-written."""
            if piece.path not in held:
                return Hana.send(piece)
            with open(piece.path, 'wb', buffering=0) as pipe:
                pipe.write(b'half')
                killed.wait()
            return None

        process, threads = self.hana.start_backup(pieces, STREAMS, work=send)
        while len(self.hana.answers(process).of('#SAVED')) < len(pieces) // 3:
            self.assertIsNone(process.poll())
            time.sleep(0.002)
        process.kill()
        process.communicate()
        killed.set()
        threads.release([p.path for p in pieces])
        saved = {path: ebid for ebid, path, _ in self.hana.answers(process).of('#SAVED')}
        self.assertGreaterEqual(len(saved), len(pieces) // 3)
        self.assertFalse(held & set(saved))
        found = {path: ebid for ebid, path in self.hana.call('inquire', ['#NULL']).of('#BACKUP')}
        self.assertLessEqual(saved.items(), found.items())
        # A piece may be whole in the storage, its answer unwritten: never more than there were streams.
        self.assertLessEqual(len(found) - len(saved), STREAMS)
        whole = [p for p in pieces if p.path in found]
        self.check_restore(whole, found)

        rest = [p for p in pieces if p.path not in found]
        found.update(self.hana.back_up(rest))
        self.check_restore(pieces, found)

    def test_lost_host(self):
        """Without the local catalog, and on a host that never had one."""
        pieces = self.pieces(12, seed=4)
        ebids = self.hana.back_up(pieces)
        with sqlite3.connect(self.path('catalog.db')) as db:
            rows = dict(db.execute('SELECT name, ebid FROM pieces'))
        db.close()
        self.assertEqual(rows, ebids)
        for name in os.listdir(self.folder):
            if name.startswith('catalog.db'):
                os.unlink(self.path(name))
        self.write_parameters(catalog=False)
        found = {path: ebid for ebid, path in self.hana.call('inquire', ['#NULL']).of('#BACKUP')}
        self.assertEqual(found, ebids)
        self.check_restore(pieces, found)

    def test_newest(self):
        """#NULL means the newest of a name; a directory of the same beginning is another name."""
        path, first = self.save_file('f', b'first')
        while self.save_file('f', b'second')[1][:20] == first[:20]:
            pass  # two of one millisecond have no order
        self.save_file('f1', b'other')
        found = self.hana.call('inquire', [f'#NULL {quote(path)}']).of('#BACKUP')
        self.assertEqual(found[-1][0], first)
        self.assertTrue(all(p == path for _, p in found))
        answers = self.hana.call('restore', [f'#NULL {quote(path)} {quote(self.path("back"))}'])
        self.assertEqual(answers.of('#RESTORED'), [[found[0][0], path]])
        with open(self.path('back'), 'rb') as file:
            self.assertEqual(file.read(), b'second')

    def test_users(self):
        """Tenants do not see each other's pieces."""
        path, ebid = self.save_file('f')
        self.hana.user = 'T1@HDB'
        self.assertEqual(self.hana.call('inquire', ['#NULL']).of('#NOTFOUND'), [[]])
        for function in ('restore', 'inquire', 'delete'):
            answers = self.hana.call(function, [f'#EBID {quote(ebid)} {quote(path)}'])
            self.assertEqual(len(answers.of('#NOTFOUND')), 1, function)
        self.assertEqual(len(self.objects()), 1)

    @unittest.skipIf('ASAN_OPTIONS' in os.environ, 'the memory of the sanitizers would be measured')
    def test_memory(self):
        """Eight streams of large pieces at once."""
        size = (1 << 30) // STREAMS if LONG else 6 << 20
        pieces = [Piece(self.hana.pipe(f'large{i}'), size, i) for i in range(STREAMS)]
        process, threads = self.hana.start_backup(pieces, STREAMS, measured=True)
        answers = self.hana.finish(process)
        threads.join()
        self.assertLess(self.hana.memory, MEMORY_MAX)
        ebids = {path: ebid for ebid, path, _ in answers.of('#SAVED')}
        self.check_restore(pieces, ebids)
        self.assertLess(self.hana.memory, MEMORY_MAX)


class Protocol(Case):
    """What is answered when something is not as it should be."""

    def test_unknown(self):
        path, ebid = self.save_file('f')
        other = ebid[:-1] + ('0' if ebid[-1] != '0' else '1')
        lines = [f'#EBID {quote(other)} {quote(path)}', f'#EBID "1234" {quote(path)}',
                 f'#EBID {quote(ebid)} "/another/name"', f'#EBID {quote(ebid)} "no/path"']
        for function in ('restore', 'inquire', 'delete'):
            answers = self.hana.call(function, [*lines, f'#EBID {quote(ebid)} {quote(path)}'])
            self.assertEqual(len(answers.of('#NOTFOUND')), len(lines), function)
            self.assertEqual(len(answers.lines), len(lines) + 2, function)
            if function == 'restore':
                self.assertEqual(answers.of('#NOTFOUND')[0], [path])
            else:
                self.assertIn([other, path], answers.of('#NOTFOUND'))
        self.assertEqual(self.hana.call('inquire', [f'#NULL {quote(path)}']).of('#NOTFOUND'), [[path]])

    def test_missing_sources(self):
        """One piece that cannot be read is one #ERROR, with its reason; the others are saved."""
        good = self.file('good', b'abc')
        lines = [f'#PIPE {quote(self.path("nothing"))}', f'#FILE {quote(good)}', f'#PIPE {quote(good)}',
                 f'#FILE {quote(self.folder)}', '#FILE relative']
        answers = self.hana.call('backup', lines, status=1)
        self.assertEqual(sorted(w for w, in answers.of('#ERROR')),
                         sorted([self.path('nothing'), good, self.folder, 'relative']))
        self.assertEqual([w[1:] for w in answers.of('#SAVED')], [[good, '3']])
        self.assertTrue(any('No such file' in c for c in answers.comments), answers.comments)
        self.assertEqual(len(self.objects()), 1)

    def test_destinations(self):
        """Files are replaced whole, or left as they were; a pipe that is missing is not made a file."""
        path, ebid = self.save_file('f', b'new')
        piece = Piece(self.hana.pipe('p'), 10, 1)
        piped = self.hana.back_up([piece], 1)[piece.path]
        old = self.file('old', b'old')
        lines = [f'#EBID {quote(ebid)} {quote(path)} {quote(old)}',
                 f'#EBID {quote(ebid)} {quote(path)} {quote(self.path("no/such/folder"))}',
                 f'#EBID {quote(ebid)} {quote(path)} {quote(self.folder)}',
                 f'#EBID {quote(piped)} {quote(piece.path)} {quote(self.path("nopipe"))}']
        answers = self.hana.call('restore', lines, status=1)
        self.assertEqual(len(answers.of('#RESTORED')), 1)
        self.assertEqual(len(answers.of('#ERROR')), 3)
        with open(old, 'rb') as file:
            self.assertEqual(file.read(), b'new')
        self.assertFalse(os.path.exists(self.path('nopipe')))
        self.assertFalse([n for n in os.listdir(self.folder) if n.endswith('.part')])

    def test_killed_reader(self):
        """A service that dies while it reads: an #ERROR for its piece alone."""
        pieces = [Piece(self.hana.pipe(f'k{i}'), 8 << 20, i) for i in range(3)]
        ebids = self.hana.back_up(pieces, 3)
        places = [self.hana.pipe(f'to{i}') for i in range(3)]
        process = self.hana.start('restore', [f'#EBID {quote(ebids[p.path])} {quote(p.path)} {quote(to)}'
                                              for p, to in zip(pieces, places)])
        reader = subprocess.Popen(['head', '-c', '100000', places[1]], stdout=subprocess.DEVNULL)
        threads = hana.Streams(Hana.receive, [places[0], places[2]], 2)
        answers = self.hana.finish(process, status=1)
        reader.wait()
        self.assertEqual(answers.of('#ERROR'), [[pieces[1].path]])
        self.assertEqual([d for _, d in threads.join()], [pieces[0].digest(), pieces[2].digest()])
        self.assertEqual(len(answers.of('#RESTORED')), 2)
        self.assertTrue(any('closed it' in c for c in answers.comments), answers.comments)

    def test_killed_database(self):
        """Whoever writes to the pipe and waits for the answer is killed: half a piece is no piece."""
        pipe = self.hana.pipe('half')
        given = self.file('half.in', f'#PIPE {quote(pipe)}\n'.encode())
        script = ('import os, subprocess, sys\n'
                  f'p = subprocess.Popen({[PROGRAM, "-f", "backup", "-u", "HDB", "-p", self.parameters]!r}\n'
                  f'  + ["-i", {given!r}, "-o", {self.path("half.out")!r}])\n'
                  'print(p.pid, flush=True)\n'
                  'sys.stdin.readline()\n'
                  f'f = open({pipe!r}, "wb", buffering=0)\n'
                  'f.write(b"x" * 1000000)\n'
                  'os.kill(os.getpid(), 9)\n')
        with subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as database:
            handle = os.pidfd_open(int(database.stdout.readline()))
            database.communicate(b'go on\n')
        self.assertTrue(select.select([handle], [], [], 120)[0])
        os.close(handle)
        with open(self.path('half.out'), encoding='utf-8') as file:
            answers = hana.Answers(file.read())
        self.assertEqual(answers.of('#SAVED'), [])
        self.assertEqual(answers.of('#ERROR'), [[pipe]])
        self.assertEqual(self.objects(), [])

    def test_ended(self):
        """SIGTERM while pipes are silent: every request has its answer, nothing is left."""
        pieces = [Piece(self.hana.pipe(f's{i}'), 1 << 20, i) for i in range(20)]
        process = self.hana.start('backup', [f'#PIPE {quote(p.path)}' for p in pieces])
        begun = os.open(pieces[0].path, os.O_WRONLY)
        os.write(begun, b'x' * 1000)
        process.send_signal(signal.SIGTERM)
        answers = self.hana.finish(process, status=1)
        os.close(begun)
        self.assertEqual(len(answers.of('#ERROR')), len(pieces))
        self.assertEqual(self.objects(), [])

    def test_terminated_restore(self):
        """SIGTERM while readers are slow, into pipes and a file: what is not whole has no name."""
        pieces = [Piece(self.hana.pipe(f'k{i}'), 8 << 20, i) for i in range(STREAMS)]
        ebids = self.hana.back_up(pieces)
        path, ebid = self.save_file('f', b'new')
        places = [self.hana.pipe(f'to{i}') for i in range(STREAMS)]
        process = self.hana.start('restore', [
            *(f'#EBID {quote(ebids[p.path])} {quote(p.path)} {quote(to)}' for p, to in zip(pieces, places)),
            f'#EBID {quote(ebid)} {quote(path)} {quote(self.path("back"))}'])
        readers = [os.open(place, os.O_RDONLY) for place in places]
        process.send_signal(signal.SIGTERM)
        answers = self.hana.finish(process, status=1)
        for reader in readers:
            os.close(reader)
        self.assertEqual(sorted(w for w, in answers.of('#ERROR')), sorted([*(p.path for p in pieces), path]))
        self.assertEqual(answers.of('#RESTORED'), [])
        self.assertFalse([n for n in os.listdir(self.folder) if n.startswith('back')])

    def test_terminated_early(self):
        """SIGTERM while the list of pieces is still being written."""
        process = subprocess.Popen([PROGRAM, '-f', 'backup', '-u', 'HDB', '-p', self.parameters], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(process.stdin.close)
        process.stdin.write('#SOFTWAREID "backint 1.50" "HANA"\n#FILE /x\n')
        process.stdin.flush()
        while not hana.blocks(process.pid, signal.SIGTERM):
            self.assertIsNone(process.poll())
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        answers = hana.Answers(process.stdout.read())
        process.stdout.close()
        self.assertEqual((process.wait(), answers.lines, len(answers.comments)), (2, [], 1))

    def test_terminated_stuck(self):
        """SIGTERM while something waits in the kernel for ever, here for whoever reads the log: the call ends all the
        same, and each request has one answer."""
        stuck = self.hana.pipe('log')
        with open(os.open(stuck, os.O_RDWR | os.O_NONBLOCK), 'wb', buffering=0) as pipe:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, 4096)
            while pipe.write(b'x' * 4096):
                pass
            self.write_parameters('#END_TIMEOUT = 50ms', '#PARALLEL_FACTOR = 1', log=stuck)
            paths = [self.path('nothing'), self.file('f', b'abc'), self.file('g', b'def')]
            process = self.hana.start('backup', [f'#FILE {quote(path)}' for path in paths])
            while not self.hana.answers(process).of('#ERROR'):
                self.assertIsNone(process.poll())
                time.sleep(0.002)
            process.send_signal(signal.SIGTERM)
            answers = self.hana.finish(process, status=1)
        self.assertEqual([w for w, in answers.of('#ERROR')], paths)
        self.assertIn('No such file', answers.comments[0])
        self.assertEqual(len(answers.lines), 1 + len(paths))
        self.assertEqual(self.objects(), [])

    def test_nobody_comes(self):
        self.write_parameters('#PIPE_TIMEOUT = 50ms')
        path, ebid = self.save_file('f')
        pipe = self.hana.pipe('alone')
        answers = self.hana.call('backup', [f'#PIPE {quote(pipe)}'], status=1)
        self.assertEqual(answers.of('#ERROR'), [[pipe]])
        answers = self.hana.call('restore', [f'#EBID {quote(ebid)} {quote(path)} {quote(pipe)}'], status=1)
        self.assertEqual(answers.of('#ERROR'), [[path]])

    def test_nothing_is_done(self):
        """Exit status 2, and why."""
        path, _ = self.save_file('f')
        line = f'#FILE {quote(path)}'
        for text in ('#STORAGE_TYPE = nothing', '#STORAGE_TYPE = local\n#SECRET = hunter2', '#STORAGE_TYPE = local',
                     '#STORAGE_TYPE = s3\n#STORAGE_CONFIG_JSON = {"bucket": 1}'):
            with open(self.parameters, 'w', encoding='utf-8') as file:
                file.write(text + '\n')
            answers = self.hana.call('backup', [line], status=2)
            self.assertEqual(answers.lines, [], text)
            self.assertEqual(len(answers.comments), 1, text)
            self.assertNotIn('hunter2', answers.comments[0])
        self.write_parameters()
        os.chmod(self.parameters, 0o666)
        self.assertIn('chmod', self.hana.call('backup', [line], status=2).comments[0])
        os.chmod(self.parameters, 0o600)
        self.assertEqual(self.hana.call('backup', ['#EBID a b'], status=2).lines, [])
        for more in (['-f', 'backup'], ['-f', 'burn', '-u', 'H', '-p', self.parameters], ['-x'], ['x']):
            done = subprocess.run([PROGRAM, *more], stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self.assertEqual(done.returncode, 2, more)
            self.assertTrue(done.stderr, more)


class Store(Case):
    """The storage does not do what it should, or lies."""

    def test_sealed(self):
        identity = self.path('identity')
        subprocess.run(['age-keygen', '-o', identity], check=True, capture_output=True)
        with open(identity, encoding='utf-8') as file:
            recipient = next(line.split()[-1] for line in file if 'public key' in line)
        self.write_parameters(f'#AGE_RECIPIENTS = {recipient}')
        data = os.urandom(70000) + b'a' * 70000
        path, ebid = self.save_file('f', data)
        [stored] = self.objects()
        self.assertTrue(stored.endswith('.zst.age'))
        # Stock tools read it.
        opened = subprocess.run(f'age -d -i {identity} {stored} | zstd -dc', shell=True, check=True,
                                capture_output=True).stdout
        self.assertEqual(opened, data)
        line = f'#EBID {quote(ebid)} {quote(path)} {quote(self.path("back"))}'
        answers = self.hana.call('restore', [line], status=1)
        self.assertIn('AGE_IDENTITY_FILE', answers.comments[0])
        self.write_parameters(f'#AGE_IDENTITY_FILE = {identity}')  # and what is new is not sealed
        os.chmod(identity, 0o644)
        self.assertIn('chmod', self.hana.call('restore', [line], status=2).comments[0])
        os.chmod(identity, 0o600)
        self.hana.call('restore', [line])
        with open(self.path('back'), 'rb') as file:
            self.assertEqual(file.read(), data)

    def test_changed(self):
        """A byte that is another, a cut, an object in the place of another, an older one that is good in itself."""
        path, ebid = self.save_file('f', os.urandom(300000))
        [stored] = self.objects()
        with open(stored, 'rb') as file:
            good = bytearray(file.read())
        other, _ = self.save_file('g', b'other')
        [another] = [o for o in self.objects() if o != stored]
        with open(another, 'rb') as file:
            foreign = file.read()
        self.assertNotEqual(path, other)
        line = f'#EBID {quote(ebid)} {quote(path)} {quote(self.path("back"))}'
        changed = bytearray(good)
        changed[len(good) // 2] ^= 1
        for bad in (changed, good[:-1], good[:100], b'', foreign):
            with open(stored, 'wb') as file:
                file.write(bad)
            answers = self.hana.call('restore', [line], status=1)
            self.assertEqual(answers.of('#ERROR'), [[path]])
            self.assertFalse(os.path.exists(self.path('back')))
        # One that only the catalog knows to be wrong.
        with sqlite3.connect(self.path('catalog.db')) as db:
            db.execute("UPDATE pieces SET sha256 = zeroblob(32)")
        db.close()
        with open(stored, 'wb') as file:
            file.write(good)
        self.assertIn('this host wrote', self.hana.call('restore', [line], status=1).comments[0])
        self.write_parameters(catalog=False)
        self.hana.call('restore', [line])

    def test_full(self):
        where = self.path('small')
        os.mkdir(where)
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=3M', 'tmpfs', where], check=False,
                          capture_output=True).returncode != 0:
            self.skipTest('cannot mount a tmpfs here')
        self.addCleanup(subprocess.run, ['umount', '-l', where], check=True)
        os.mkdir(where + '/s')
        self.storage = where + '/s'
        self.write_parameters()
        large, small = self.file('large', os.urandom(4 << 20)), self.file('small file', b'abc')
        answers = self.hana.call('backup', [f'#FILE {quote(large)}'], status=1)
        self.assertEqual(answers.of('#ERROR'), [[large]])
        self.assertIn('no space left', answers.comments[0])
        self.assertEqual(self.objects(), [])
        self.assertEqual(len(self.hana.call('backup', [f'#FILE {quote(small)}']).of('#SAVED')), 1)

    @unittest.skipIf(os.geteuid() != 0, 'runs the program as another user')
    def test_denied(self):
        """As a user that may not write there, and one that may not read the files."""
        path, ebid = self.save_file('f')
        for folder in (self.folder, self.path('pipes')):
            os.chmod(folder, 0o755)
        # The build may lie where that user cannot look.
        self.hana.program = [shutil.copy(PROGRAM, self.path('program'))]
        os.chmod(path, 0o644)
        self.write_parameters(catalog=False)
        os.unlink(self.path('log'))
        with open(self.path('log'), 'w', encoding='utf-8'):
            os.chmod(self.path('log'), 0o666)
        self.assertIn('cannot be read',
                      self.hana.call('backup', [f'#FILE {quote(path)}'], status=2, user='nobody').comments[0])
        os.chmod(self.parameters, 0o644)
        answers = self.hana.call('backup', [f'#FILE {quote(path)}'], status=1, user='nobody')
        self.assertEqual(answers.of('#ERROR'), [[path]])
        answers = self.hana.call('delete', [f'#EBID {quote(ebid)} {quote(path)}'], status=1, user='nobody')
        self.assertEqual(len(answers.of('#DELETED')), 0)
        self.assertEqual(len(self.objects()), 1)

    def test_unreachable(self):
        """A listing that fails is no empty listing."""
        self.write_parameters('#STORAGE_SECRETS = ' + self.file('secrets', b'{"password": "hunter2"}'))
        os.chmod(self.path('secrets'), 0o600)
        with open(self.parameters, encoding='utf-8') as file:
            text = file.read().replace('= local', '= webdav').replace(
                json.dumps({'path': self.storage}), '{"url": "http://127.0.0.1:1/", "user": "u"}')
        with open(self.parameters, 'w', encoding='utf-8') as file:
            file.write(text)
        process = self.hana.start('inquire', ['#NULL', '#NULL /x'])
        # What passes is tried again for minutes; the database does not wait for ever either.
        while not self.hana.answers(process).of('#SOFTWAREID'):
            self.assertIsNone(process.poll(), self.hana.answers(process).comments)
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        answers = self.hana.finish(process, status=1)
        self.assertEqual(answers.of('#NOTFOUND'), [])
        self.assertEqual(len(answers.of('#ERROR')), 2)
        os.chmod(self.path('secrets'), 0o640 if os.geteuid() != 0 else 0o644)
        answers = self.hana.call('inquire', ['#NULL'], status=2)
        self.assertIn('chmod', answers.comments[0])
        self.assertNotIn('hunter2', str(answers.comments))


class Remote(Case):
    """A storage over the network: S3."""

    def setUp(self):
        super().setUp()
        self.server = fake_s3.FakeS3(self.fault)
        self.enterContext(self.server)
        self.refused = None  # the method that is refused
        self.reads = []
        self.write_storage()

    def write_storage(self, *lines, **more):
        """As docs/hana.md has it: settings in one file, secrets in another."""
        config = {'endpoint': f'http://127.0.0.1:{self.server.server_port}', 'region': 'eu-1',
                  'bucket': fake_s3.BUCKET, 'access_key': 'AK', **more}
        secrets = {'secret_key': self.server.secret, 'session_token': self.server.token}
        files = [self.file(name, json.dumps(value).encode())
                 for name, value in (('s3.json', config), ('s3.secrets', secrets))]
        os.chmod(files[1], 0o600)
        with open(self.parameters, 'w', encoding='utf-8') as file:
            file.write('#STORAGE_TYPE = s3\n#STORAGE_CONFIG = {}\n#STORAGE_SECRETS = {}\n'
                       '#KEY_PREFIX = hana/HDB\n#COMPRESSION_LEVEL = 1\n'.format(*files))
            file.writelines(line + '\n' for line in lines)

    def fault(self, method, query, _number):
        if method == 'GET':
            self.reads.append(query)
        if method == self.refused:
            return 403, b'<Error><Code>AccessDenied</Code><Message>no</Message></Error>'
        return None

    def test_streams(self):
        """Eight pieces of several parts each; memory is bounded; the catalog is in the keys alone."""
        pieces = [Piece(self.hana.pipe(f'p {i}'), (12 << 20) + i, i) for i in range(STREAMS)]
        process, threads = self.hana.start_backup(pieces, STREAMS, measured=True)
        answers = self.hana.finish(process)
        threads.join()
        if 'ASAN_OPTIONS' not in os.environ:
            self.assertLess(self.hana.memory, MEMORY_MAX)
        ebids = {path: ebid for ebid, path, _ in answers.of('#SAVED')}
        self.assertEqual(len(ebids), len(pieces))
        self.assertTrue(all(key.startswith('hana/HDB/HDB/') for key in self.server.objects))
        found = {path: ebid for ebid, path in self.hana.call('inquire', ['#NULL']).of('#BACKUP')}
        self.assertEqual(found, ebids)
        self.reads.clear()
        self.check_restore(pieces, ebids)
        # In large steps, as each takes a way to the storage and back.
        self.assertEqual(len(self.reads), sum(-(-len(data) // (5 << 20)) for data, _ in self.server.objects.values()))
        lines = [f'#EBID {quote(ebid)} {quote(path)}' for path, ebid in ebids.items()]
        self.assertEqual(len(self.hana.call('delete', lines).of('#DELETED')), len(pieces))
        # A server that says of everything that it removed it does not make it #DELETED.
        self.assertEqual(len(self.hana.call('delete', lines).of('#NOTFOUND')), len(pieces))
        self.assertEqual(self.server.objects, {})

    def test_refused(self):
        path, ebid = self.save_file('f')
        line = f'#EBID {quote(ebid)} {quote(path)}'
        for method, function, asked in (('PUT', 'backup', f'#FILE {quote(path)}'), ('GET', 'inquire', '#NULL'),
                                        ('GET', 'restore', line + ' ' + quote(self.path('back'))),
                                        ('DELETE', 'delete', line)):
            self.refused = method
            answers = self.hana.call(function, [asked], status=1)
            self.assertEqual(len(answers.of('#ERROR')), 1, function)
            self.assertEqual(len(answers.lines), 2, function)
            self.assertNotIn(self.server.secret, str(answers.comments))
        self.assertFalse(os.path.exists(self.path('back')))
        self.refused = None
        self.assertEqual(len(self.hana.call('inquire', ['#NULL']).of('#BACKUP')), 1)


class Volumes(Remote):
    """Pieces that are larger than an object may be: on S3, with objects of 8 MiB."""
    test_streams = test_refused = None  # they are Remote's
    VOLUME = 8 << 20

    def setUp(self):
        super().setUp()
        self.at = None  # (method, what its query has, which of these): is refused, or the end of the victim
        self.seen = 0
        self.victims = queue.SimpleQueue()
        self.write_storage('#CATALOG_DB = ' + self.path('catalog.db'), part_size=5, volume_size=8)

    def fault(self, method, query, number):
        if self.at and method == self.at[0] and self.at[1] in ('', *query):
            self.seen += 1
            if self.seen == self.at[2]:
                if self.at[3]:
                    os.kill(self.victims.get().pid, signal.SIGKILL)
                return 403, b'<Error><Code>AccessDenied</Code><Message>no</Message></Error>'
        return super().fault(method, query, number)

    def killed(self, function, line, at):
        """A call that is killed with its request number at of a kind."""
        self.at, self.seen = (*at, True), 0
        process = self.hana.start(function, [line])
        self.victims.put(process)
        self.hana.finish(process, status=-signal.SIGKILL)
        self.at = None

    def large(self):
        """A file that becomes three volumes, and what is in it."""
        data = os.urandom(22 << 20)  # the last one has two parts
        return self.file('large', data), data

    def restored(self, path, ebid, status=0):
        """What a restore gives, and what it answers."""
        back = self.path('back')
        answers = self.hana.call('restore', [f'#EBID {quote(ebid)} {quote(path)} {quote(back)}'], status=status)
        if status != 0:
            self.assertFalse(os.path.exists(back))
            return None, answers
        with open(back, 'rb') as file:
            data = file.read()
        os.unlink(back)
        return data, answers

    def test_round(self):
        """Each piece is one, however many objects it has; memory is bounded; stock tools join them."""
        pieces = [Piece(self.hana.pipe(f'p {i}'), (17 << 20) + i, i) for i in range(STREAMS)]
        process, threads = self.hana.start_backup(pieces, STREAMS, measured=True)
        answers = self.hana.finish(process)
        threads.join()
        ebids = {path: ebid for ebid, path, _ in answers.of('#SAVED')}
        self.assertEqual(len(ebids), len(pieces))
        if 'ASAN_OPTIONS' not in os.environ:
            self.assertLess(self.hana.memory, MEMORY_MAX)
        first = sorted(key for key in self.server.objects if key.endswith('.zst'))
        self.assertEqual(sorted(self.server.objects), sorted([*first, *(key + '.001' for key in first)]))
        self.assertTrue(all(len(self.server.objects[key][0]) == self.VOLUME for key in first))
        self.assertEqual(self.server.uploads, {})
        found = self.hana.call('inquire', ['#NULL']).of('#BACKUP')
        self.assertEqual(sorted(found), sorted([ebid, path] for path, ebid in ebids.items()))
        plain = subprocess.run(['zstd', '-dc'], check=True, capture_output=True,
                               input=b''.join(self.server.objects[first[0] + end][0] for end in ('', '.001')))
        self.assertIn(hashlib.sha256(plain.stdout).hexdigest(), {piece.digest() for piece in pieces})
        self.check_restore(pieces[:3], ebids)
        self.assertEqual(self.hana.restore([(None, pieces[0].path)]), [(pieces[0].size, pieces[0].digest())])
        # Other limits are of no matter to what is there.
        self.write_storage(part_size=8)
        self.check_restore(pieces[:1], ebids)
        lines = [f'#EBID {quote(ebid)} {quote(path)}' for path, ebid in ebids.items()]
        self.assertEqual(len(self.hana.call('delete', lines).of('#DELETED')), len(pieces))
        self.assertEqual(self.server.objects, {})

    def test_killed_backup(self):
        """Between the volumes and the first one, which makes it a piece."""
        path, data = self.large()
        self.killed('backup', f'#FILE {quote(path)}', ('POST', 'uploadId', 3))
        left = sorted(self.server.objects)
        self.assertEqual([key[-8:] for key in left], ['.zst.001', '.zst.002'])
        self.assertEqual(self.hana.call('inquire', ['#NULL']).of('#NOTFOUND'), [[]])
        ebid = self.hana.call('backup', [f'#FILE {quote(path)}']).of('#SAVED')[0][0]
        self.assertEqual(len(self.hana.call('inquire', ['#NULL']).of('#BACKUP')), 1)
        self.assertEqual(self.restored(path, ebid)[0], data)
        # What was left can be told to go.
        lost = os.path.basename(left[0]).removesuffix('.zst.001')
        line = f'#EBID {quote(lost)} {quote(path)}'
        self.assertEqual(self.hana.call('delete', [line]).of('#DELETED'), [[lost, path]])
        self.assertEqual(self.hana.call('delete', [line]).of('#NOTFOUND'), [[lost, path]])
        self.assertEqual(len(self.server.objects), 3)

    def test_killed_removal(self):
        """With the first one it is gone; the next call takes the others away."""
        path, _ = self.large()
        ebid = self.hana.call('backup', [f'#FILE {quote(path)}']).of('#SAVED')[0][0]
        self.assertEqual(len(self.server.objects), 3)
        line = f'#EBID {quote(ebid)} {quote(path)}'
        for left in (2, 1):
            self.killed('delete', line, ('DELETE', '', 2))
            self.assertEqual(len(self.server.objects), left)
            self.assertEqual(self.hana.call('inquire', [line]).of('#NOTFOUND'), [[ebid, path]])
        self.assertEqual(self.hana.call('delete', [line]).of('#DELETED'), [[ebid, path]])
        self.assertEqual(self.server.objects, {})

    def test_refused_in_the_middle(self):
        """Nothing of it stays."""
        path, _ = self.large()
        self.at = ('POST', 'uploadId', 2, False)
        answers = self.hana.call('backup', [f'#FILE {quote(path)}'], status=1)
        self.assertEqual(answers.of('#ERROR'), [[path]])
        self.assertEqual((self.server.objects, self.server.uploads), ({}, {}))

    def test_changed(self):
        """A volume that is gone, short, or in the place of another."""
        path, data = self.large()
        ebid = self.hana.call('backup', [f'#FILE {quote(path)}']).of('#SAVED')[0][0]
        first, second, third = sorted(self.server.objects)
        good = dict(self.server.objects)
        for bad in ({first: good[first], third: good[third]}, {first: good[first], second: good[second]},
                    {**good, second: (good[second][0][:-1], {})}, {**good, second: good[first]},
                    {first: good[first], second: good[third]}):
            self.server.objects = dict(bad)
            _, answers = self.restored(path, ebid, status=1)
            self.assertEqual(answers.of('#ERROR'), [[path]])
        self.server.objects = good
        self.assertEqual(self.restored(path, ebid)[0], data)


class Names(Case):
    """The ways to call it."""

    def test_names(self):
        link = self.path('hdbbackint')
        client = os.path.join(BUILD, 'cli/backupx')
        environment = {**os.environ, 'BACKUPX_LIBEXECDIR': os.path.join(BUILD, 'agent')}
        for target, words in ((client, []), (PROGRAM, [])):
            os.symlink(target, link)
            for option in ('-v', '-V'):
                said = subprocess.run([link, *words, option], check=True, capture_output=True, text=True,
                                      env=environment).stdout
                self.assertRegex(said, r'^"backint 1\.50" "backupx [0-9.]+"\n$')
            os.unlink(link)
        said = subprocess.run([client, 'backint', '-v'], check=True, capture_output=True, text=True,
                              env=environment).stdout
        self.assertIn('backint 1.50', said)
        self.hana.program = [client, 'backint']
        path = self.file('f', b'abc')
        process = self.hana.start('backup', [f'#FILE {quote(path)}'],
                                  env={**environment, 'LD_LIBRARY_PATH': self.folder})
        self.assertEqual(self.hana.finish(process).of('#SAVED')[0][1:], [path, '3'])

    def test_standard_streams(self):
        path = self.file('f', b'abc')
        done = subprocess.run([PROGRAM, '-f', 'backup', '-u', 'HDB', '-p', self.parameters],
                              input=f'#SOFTWAREID "backint 1.50" "HANA"\n#FILE {quote(path)}\n', text=True,
                              capture_output=True, check=True)
        answers = hana.Answers(done.stdout)
        self.assertEqual(answers.of('#SOFTWAREID')[0][0], 'backint 1.50')
        [[ebid, _, _]] = answers.of('#SAVED')
        done = subprocess.run([PROGRAM, '-f', 'inquire', '-u', 'HDB', '-p', self.parameters],
                              input='#SOFTWAREID "backint 1.50" "HANA"\n#NULL\n', text=True,
                              capture_output=True, check=True)
        # That version tells the time.
        [[found, name, when]] = hana.Answers(done.stdout).of('#BACKUP')
        self.assertEqual((found, name), (ebid, path))
        self.assertEqual(when.replace('-', '').replace(':', ''), ebid[:20])

    def test_many_calls(self):
        """Services call at the same time, and share the catalog."""
        paths = [self.file(f'f{i}', b'x' * i) for i in range(8)]
        processes = [self.hana.start('backup', [f'#FILE {quote(path)}']) for path in paths]
        for process in processes:
            answers = self.hana.finish(process)
            self.assertEqual(len(answers.of('#SAVED')), 1)
            self.assertEqual(answers.comments, [])
        with sqlite3.connect(self.path('catalog.db')) as db:
            self.assertEqual(db.execute('SELECT count(*) FROM pieces').fetchone(), (len(paths),))
        db.close()


if __name__ == '__main__':
    unittest.main(verbosity=2)
