#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups of ours into repositories, looked at with stock restic."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

import repositories
from repositories import random_bytes

sys.path[:0] = [str(repositories.ROOT / 'tests' / 'lib')]
import trees  # pylint: disable=wrong-import-position

TOOL = repositories.BUILD / 'tests' / 'repository' / 'backup-tool'
READ_TOOL = TOOL.with_name('read-tool')
TREECMP = repositories.ROOT / 'tests' / 'tools' / 'treecmp.py'
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
ROUNDS = 20 if LONG else 2
MEMORY_MAX = 96 << 10  # KiB; 64 MiB, and room for what libraries of other versions take


def peak_memory(command, environment):
    """Runs it; gives the most KiB that it held."""
    # Of a small process of its own: the memory of the one that starts a program counts as the program's.
    script = ('import resource, subprocess, sys\n'
              'subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n'
              'print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)')
    return int(repositories.run(sys.executable, '-c', script, *command, env=environment))


class Backup(repositories.Repositories):
    """The tool beside restic."""

    def setUp(self):
        """The folder of the repository has to be there."""
        super().setUp()
        self.repository.mkdir()

    def command(self, *options, source=None, prefix=()):
        """The command line, and its environment."""
        return ([*prefix, TOOL, '--repository', self.repository, *options, source or self.source],
                {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD})

    def backup(self, *options, status=0, source=None, prefix=(), **more):
        """Runs the tool; gives its result."""
        command, environment = self.command(*options, source=source, prefix=prefix)
        done = subprocess.run([os.fspath(c) for c in command], env=environment, capture_output=True, check=False,
                              **more)
        self.assertEqual(done.returncode, status, done.stderr.decode(errors='replace'))
        return json.loads(done.stdout)

    def check(self):
        """Nothing is wrong with the repository."""
        self.restic('check', '--read-data')

    def restored(self, snapshot='latest'):
        """A restore by restic differs from the source in nothing but holes."""
        target = self.folder / f'restored-{time.monotonic_ns()}'
        self.restic('restore', snapshot, '--target', target)
        restored = target / self.source.relative_to('/')
        done = subprocess.run([TREECMP, self.source, restored], capture_output=True, check=False)
        lines = [line for line in done.stdout.decode(errors='replace').splitlines() if 'data at is' not in line]
        self.assertEqual(lines, [])

    def tree_of_source(self):
        """The name of the tree that the last snapshot has of it."""
        tree = self.restic_json('snapshots', '--json', 'latest')[0]['tree']
        for name in self.source.parts[1:]:
            nodes = self.restic_json('cat', 'blob', tree)['nodes']
            tree = next(node['subtree'] for node in nodes if node['name'] == name)
        return tree

    def packs(self):
        """The names of all packs."""
        return {path.name for path in (self.repository / 'data').glob('*/*')}

    def test_snapshot(self):
        """What restic says of it; test_sources.py has all that a file system can hold."""
        (self.source / 'documents').mkdir()
        (self.source / 'documents' / 'letter.txt').write_bytes(b'Dear reader,\n')
        first = self.backup('--init', '--time-ahead', '100')
        self.assertEqual(first['state'], 'succeeded')
        snapshot = self.restic_json('snapshots', '--json')[0]
        self.assertEqual(snapshot['paths'], [str(self.source)])
        self.assertEqual(snapshot['hostname'], 'host')
        self.assertEqual(snapshot['id'], first['targets'][0]['snapshot'])
        self.assertIn(os.fsencode(self.source / 'documents' / 'letter.txt'), self.restic('ls', 'latest'))
        again = self.backup('--time-ahead', '200')
        self.assertEqual(again['bytes_read'], 0)
        self.assertEqual(again['files_unchanged'], first['files_new'])
        self.assertEqual((again['files_new'], again['files_changed']), (0, 0))
        self.check()
        self.restored()

    def test_derived(self):
        """Ours is opened without its key files; restic needs one, so a check of ours looks at them."""
        def checked(status):
            done = subprocess.run([READ_TOOL, self.repository, repositories.PASSWORD, 'check'], capture_output=True,
                                  text=True, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            return done.stderr

        (self.source / 'file').write_bytes(random_bytes(1, 1000))
        self.backup('--init', '--derived', '--time-ahead', '100')
        self.check()
        self.restored()
        checked(0)
        key, = (self.repository / 'keys').iterdir()
        whole = key.read_bytes()
        key.chmod(0o600)
        key.write_bytes(whole.replace(b'"N"', b'"M"'))
        self.assertEqual(self.backup('--time-ahead', '200')['files_unchanged'], 1)
        self.assertIn(f'The key {key.name[:16]} is damaged', checked(3))
        key.unlink()
        self.assertIn('There is no key file', checked(3))
        key.write_bytes(whole)
        checked(0)
        self.check()

    def test_one_file(self):
        """One file of a repository with many directories: with the index at hand little of it is read."""
        for i in range(1500):
            folder = self.source / 'a' / 'few' / 'more' / 'levels' / f'{i % 50}' / f'{i}'
            folder.mkdir(parents=True)
            (folder / random_bytes(i, 100).hex()).write_bytes(b'%d\n' % i)
        wanted = next((self.source / 'a/few/more/levels/7/1007').iterdir())
        self.backup('--init', '--time-ahead', '100')
        trace = self.folder / 'trace'
        environment = {**os.environ, 'READ_TOOL_CACHE': str(self.folder / 'cache')}
        command = [READ_TOOL, self.repository, repositories.PASSWORD]
        subprocess.run([*command, 'ls', 'latest'], env=environment, check=True, capture_output=True)
        subprocess.run(['strace', '-ff', '-qq', '-y', '-o', trace, '-e', 'trace=read,pread64', *command, 'restore',
                        'latest', self.folder / 'out', 'fail', wanted],
                       env=environment, check=True, capture_output=True)
        self.assertEqual((self.folder / 'out' / str(wanted)[1:]).read_bytes(), b'1007\n')
        lines = [line for path in self.folder.glob('trace.*') for line in path.read_text().splitlines()
                 if f'<{self.repository}/' in line]
        read = sum(int(line.rpartition(' = ')[2]) for line in lines)
        stored = sum(path.stat().st_size for path in (self.repository / 'data').glob('*/*'))
        self.assertGreater(read, 0)
        self.assertLess(read, 512 << 10, f'of {stored} bytes')

    def test_mounted(self):
        """What stock restic mounts is the source."""
        if not os.access('/dev/fuse', os.W_OK) or not shutil.which('fusermount'):
            self.skipTest('needs FUSE')
        trees.make_small(self.source)
        (self.source / 'large').write_bytes(random_bytes(1, 5 << 20))
        self.backup('--init')
        where = self.folder / 'mounted'
        where.mkdir()
        environment = {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD,
                       'RESTIC_CACHE_DIR': str(self.folder / 'cache')}
        with subprocess.Popen(['restic', '-r', self.repository, 'mount', where], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            self.addCleanup(subprocess.run, ['umount', '-l', where], check=False, capture_output=True)
            try:
                self.wait_for(lambda: process.poll() is not None or os.path.ismount(where))
                self.assertIsNone(process.poll())
                mounted = where / 'snapshots' / 'latest' / self.source.relative_to('/')
                names = {p.relative_to(self.source) for p in self.source.rglob('*')}
                self.assertEqual({p.relative_to(mounted) for p in mounted.rglob('*')}, names)
                for name in names:
                    one, other = self.source / name, mounted / name
                    if one.is_symlink():
                        self.assertEqual(os.readlink(one), os.readlink(other))
                    elif one.is_file():
                        self.assertEqual(one.read_bytes(), other.read_bytes(), name)
            finally:
                subprocess.run(['umount', where], check=False, capture_output=True)
                process.kill()

    def test_changes(self):
        """Only what changed is read, and only what is new is stored."""
        for i in range(20):
            (self.source / f'file-{i}').write_bytes(random_bytes(i, 200_000))
        (self.source / 'big').write_bytes(random_bytes(100, 20 << 20))
        self.backup('--init', '--time-ahead', '100')
        with open(self.source / 'big', 'r+b') as file:
            file.seek(10 << 20)
            file.write(b'changed')
        (self.source / 'file-3').write_bytes(b'new content')
        (self.source / 'file-4').unlink()
        (self.source / 'file-20').write_bytes(b'a new file')
        result = self.backup('--time-ahead', '200')
        self.assertEqual((result['files_new'], result['files_changed'], result['files_unchanged']), (1, 2, 18))
        self.assertEqual(result['bytes_read'], (20 << 20) + 21)
        self.assertLess(result['new_bytes'], 10 << 20)
        self.check()
        self.restored()

    def test_large_directory(self):
        """The tree of a directory that is read and written piece by piece: 10 MB, as each '<' of a link takes six
        bytes in it. It is the one that is made as a whole, where a repository cannot hold it compressed."""
        for i in range(500):
            (self.source / f'{i:03} file').write_bytes(b'%d' % (i % 10))
            (self.source / f'{i:03} link').symlink_to('<' * 4000)
        first = self.backup('--init', '--time-ahead', '100')
        self.assertEqual(first['files_new'], 500)
        tree = self.tree_of_source()
        self.assertGreater(len(self.restic('cat', 'blob', tree)), 10 << 20)
        again = self.backup('--time-ahead', '200')
        self.assertEqual((again['files_unchanged'], again['bytes_read']), (500, 0))
        self.assertEqual(self.tree_of_source(), tree)
        ours, self.repository = self.repository, self.folder / 'plain'
        self.restic('init', '--repository-version', '1')
        self.backup('--time-ahead', '100')
        self.assertEqual(self.tree_of_source(), tree)
        self.repository = ours
        (self.source / '300 file').write_bytes(b'changed')
        (self.source / '400 file').unlink()
        changed = self.backup('--time-ahead', '300')
        self.assertEqual((changed['files_changed'], changed['files_unchanged']), (1, 498))
        self.assertEqual(changed['bytes_read'], 7)
        self.check()
        self.restored()
        target = self.folder / 'ours'
        target.mkdir()
        for command in (('check', '1', '1'), ('restore', 'latest', target, 'fail')):
            repositories.run(READ_TOOL, self.repository, repositories.PASSWORD, *command)
        repositories.run(TREECMP, self.source, target / self.source.relative_to('/'))

    @unittest.skipUnless(LONG, 'long')
    def test_a_million_files(self):
        """In one directory: 64 MiB and 0.1 KiB for each, whatever is done with them."""
        for i in range(1_000_000):
            os.mknod(self.source / f'{i:07} of a million')
        target = self.folder / 'ours'
        target.mkdir()
        environment = {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD}
        backup = [TOOL, '--repository', self.repository]
        read = [READ_TOOL, self.repository, repositories.PASSWORD]
        for command in ([*backup, '--init', self.source], [*backup, '--time-ahead', '1000', self.source],
                        [*backup, '--time-ahead', '2000', self.source], [*read, 'check', '1', '1'],
                        [*read, 'ls', 'latest'], [*read, 'stats'],
                        [TOOL.with_name('prune-tool'), self.repository, 'prune'],
                        [*read, 'restore', 'latest', target, 'fail']):
            with self.subTest(command=command):
                self.assertLess(peak_memory(command, environment), (64 << 10) + 100_000)
        self.check()
        self.assertEqual(len(os.listdir(target / self.source.relative_to('/'))), 1_000_000)

    def test_recent_change(self):
        """A file that changed less than a minute before the last run began is read again."""
        (self.source / 'file').write_bytes(b'content')
        self.backup('--init', '--time-ahead', '30')
        result = self.backup()
        self.assertEqual(result['bytes_read'], 7)
        self.assertEqual(result['files_unchanged'], 1)

    def test_lost_blobs(self):
        """An unchanged file is read again where the repository has lost its blobs."""
        (self.source / 'file').write_bytes(random_bytes(1, 3 << 20))
        self.backup('--init', '--time-ahead', '100')
        for path in (self.repository / 'index').iterdir():
            path.unlink()
        self.assertEqual(self.backup('--time-ahead', '200')['bytes_read'], 3 << 20)
        self.restored()

    def test_holes(self):
        """Large holes are neither read nor stored more than once."""
        with open(self.source / 'disk', 'wb') as file:
            file.truncate(300 << 20)
            for place in (0, 100 << 20, 222_222_222):
                file.seek(place)
                file.write(random_bytes(place, 100_000))
        (self.source / 'hole').write_bytes(b'')
        os.truncate(self.source / 'hole', 50 << 20)
        result = self.backup('--init')
        self.assertEqual(result['bytes'], 350 << 20)
        self.assertLess(result['bytes_read'], 1 << 20)
        self.assertLess(result['bytes_written'], 1 << 20)
        self.check()
        self.restored()

    def test_alternating(self):
        """restic and we in turn, in a repository of ours, and in the long rounds in both versions of its own."""
        (self.source / 'big').write_bytes(random_bytes(1, 5 << 20))
        for version in ('', '1', '2') if LONG else ('',):
            with self.subTest(version=version):
                if version:
                    self.repository = self.folder / f'of-restic-{version}'
                    self.restic('init', '--repository-version', version)
                self.alternate(*[] if version else ['--init'])
                for path in self.source.glob('of*'):
                    path.unlink()

    def alternate(self, *options):
        """So many rounds; every fifth snapshot comes back as it was."""
        self.backup(*options)
        stored = [{'big'}]
        for i in range(ROUNDS):
            (self.source / f'of-restic-{i}').write_bytes(random_bytes(2 * i, 600_000))
            self.restic('backup', '--host', 'host', self.source)
            stored.append(set(os.listdir(self.source)))
            (self.source / f'of-us-{i}').write_bytes(random_bytes(2 * i + 1, 600_000))
            self.backup('--time-ahead', str(1000 * (i + 1)))
            stored.append(set(os.listdir(self.source)))
        self.check()
        self.restored()
        snapshots = self.restic_json('snapshots', '--json')
        self.assertEqual(len(snapshots), 2 * ROUNDS + 1)
        came = []
        for snapshot in snapshots[::5]:
            target = self.folder / snapshot['id']
            self.restic('restore', snapshot['id'], '--target', target)
            restored = target / self.source.relative_to('/')
            for path in restored.iterdir():
                self.assertEqual(path.read_bytes(), (self.source / path.name).read_bytes(), path.name)
            came.append(set(os.listdir(restored)))
            shutil.rmtree(target)
        self.assertEqual([names for names in came if names not in stored or came.count(names) > 1], [])
        self.restic('forget', '--prune', '--keep-last', '2', '--group-by', '')
        self.check()
        self.assertEqual(self.backup()['state'], 'succeeded')
        self.check()
        self.restored()

    def test_repository_of_restic(self):
        """In one that restic made we cut as it does: what it stored is not stored again. Both versions."""
        (self.source / 'random').write_bytes(random_bytes(1, 12 << 20))
        (self.source / 'text').write_bytes(b''.join(b'%d of many lines\n' % i for i in range(300_000)))
        for version in ('1', '2'):
            self.repository = self.folder / f'of-restic-{version}'
            self.restic('init', '--repository-version', version)
            self.restic('backup', self.source)
            packs = self.packs()
            result = self.backup()
            self.assertEqual(result['bytes_read'], sum(p.stat().st_size for p in self.source.iterdir()))
            self.assertLess(result['new_bytes'], 20_000)
            self.assertEqual(len(self.packs() - packs), 1)
            (self.source / 'more').write_bytes(b'a text that compresses well ' * 1000)
            self.backup()
            self.check()
            self.restored()
            (self.source / 'more').unlink()

    def test_two_targets(self):
        """One pass for two repositories; one of them fails, and the other has everything."""
        other = self.folder / 'other'
        other.mkdir()
        (self.source / 'file').write_bytes(random_bytes(1, 40 << 20))
        both = self.backup('--init', '--repository', other)
        self.assertEqual(both['state'], 'succeeded')
        self.assertEqual(both['bytes_read'], 40 << 20)
        for target in both['targets']:
            self.assertTrue(target['succeeded'])
        (self.source / 'file').write_bytes(random_bytes(2, 40 << 20))
        os.rename(other / 'data', other / 'gone')
        (other / 'data').write_bytes(b'')
        one = self.backup('--repository', other, status=3)
        self.assertEqual([t['succeeded'] for t in one['targets']], [True, False])
        self.assertEqual(one['state'], 'partial')
        self.assertNotEqual(one['targets'][1]['error'], '')
        self.check()
        self.restored()
        os.unlink(other / 'data')
        os.rename(other / 'gone', other / 'data')
        self.repository = other
        self.check()
        self.assertEqual(len(self.restic_json('snapshots', '--json')), 1)

    def test_unlike_targets(self):
        """Repositories that cut in different places cannot be fed from one pass."""
        other = self.folder / 'other'
        other.mkdir()
        self.backup('--init')
        mine, self.repository = self.repository, other
        self.backup('--init')
        command, environment = self.command('--repository', mine)
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b'were not made for each other', done.stderr)

    def test_stream(self):
        """What a tool prints, as one file."""
        data = b''.join(b'INSERT INTO t VALUES (%d);\n' % i for i in range(200_000))
        result = self.backup('--init', '--stream', 'dump.sql', input=data)
        self.assertEqual((result['state'], result['bytes_read']), ('succeeded', len(data)))
        self.check()
        self.assertEqual(self.restic('dump', 'latest', '/dump.sql'), data)

    def test_missing_source(self):
        """What is not there makes the run partial, and is named."""
        (self.source / 'file').write_bytes(b'content')
        result = self.backup('--init', self.folder / 'missing', status=3)
        self.assertEqual(result['state'], 'partial')
        self.assertEqual([(e['path'], e['code']) for e in result['errors']],
                         [(str(self.folder / 'missing'), 'UNREADABLE')])
        self.check()

    def test_read_error(self):
        """What could not be read is lost in this run, and read again by the next."""
        (self.source / 'bad').write_bytes(random_bytes(1, 1 << 20))
        (self.source / 'good').write_bytes(b'content')
        prefix = ('strace', '-f', '-qq', '-o', '/dev/null', '-P', self.source / 'bad', '-e', 'trace=pread64',
                  '-e', 'inject=pread64:error=EIO:when=2+')
        result = self.backup('--init', '--time-ahead', '100', status=3, prefix=prefix)
        self.assertEqual([(e['path'], e['lost']) for e in result['errors']], [(str(self.source / 'bad'), True)])
        self.check()
        again = self.backup('--time-ahead', '200')
        self.assertEqual(again['state'], 'succeeded')
        self.assertEqual(again['bytes_read'], 1 << 20)
        self.check()
        self.restored()

    def test_attributes_unread(self):
        """A file whose attributes could not be read is not taken as it is known."""
        (self.source / 'file').write_bytes(b'content')
        os.setxattr(self.source / 'file', 'user.note', b'value')
        calls = 'listxattr,llistxattr,flistxattr'
        prefix = ('strace', '-f', '-qq', '-o', '/dev/null', '-e', f'trace={calls}', '-e', f'inject={calls}:error=EIO')
        result = self.backup('--init', '--time-ahead', '100', status=3, prefix=prefix)
        self.assertIn('METADATA', [e['code'] for e in result['errors']])
        again = self.backup('--time-ahead', '200')
        self.assertEqual((again['state'], again['bytes_read']), ('succeeded', 7))
        self.restored()
        self.assertEqual(self.backup('--time-ahead', '300')['bytes_read'], 0)
        self.restored()

    def wait_for(self, condition):
        """Until it is true."""
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def lose_lock(self, times, lose, words):
        """A run whose lock is lost stops, says so, and leaves no snapshot."""
        command, environment = self.command('--stream', 'data', '--lock-times', *times)
        locks = self.repository / 'locks'
        with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            process.stdin.write(random_bytes(1, 1 << 20))
            self.wait_for(lambda: locks.exists() and any(locks.iterdir()))
            seen = set()
            while len(seen) < 4:  # it is refreshed
                self.assertIsNone(process.poll())
                seen.update(os.listdir(locks))
                self.assertLessEqual(len(os.listdir(locks)), 2)
            lose(locks)
            out, _ = process.communicate(random_bytes(2, 4 << 20))
        self.assertEqual(process.returncode, 4, out)
        target = json.loads(out)['targets'][0]
        self.assertEqual(target['code'], 'LOCK_LOST', target)
        self.assertIn(words, target['error'])
        self.assertEqual(len(self.restic_json('snapshots', '--no-lock', '--json')), 1)

    def test_lock_lost(self):
        """Somebody removed it, or it could not be refreshed for too long."""
        (self.source / 'file').write_bytes(b'content')
        self.backup('--init')
        self.lose_lock(['10', '10', '60000'], lambda locks: os.rename(locks, self.folder / 'away'), 'removed by')

        def fail_for_a_while(locks):
            repositories.run('chattr', '+i', locks)
            time.sleep(2.5)
            repositories.run('chattr', '-i', locks)
        # A busy disk alone does not take as long.
        self.lose_lock(['10', '10', '2000'], fail_for_a_while, 'could not be refreshed')
        self.restic('unlock', '--remove-all')
        self.assertEqual(self.backup()['state'], 'succeeded')
        self.check()

    def test_cancel(self):
        """A run that is cancelled leaves no snapshot and no lock."""
        (self.source / 'fifo').write_bytes(random_bytes(1, 1000))
        self.backup('--init')
        command, environment = self.command('--stream', 'endless', '--cancel-after', '500')
        with open('/dev/urandom', 'rb') as endless:
            done = subprocess.run(command, env=environment, stdin=endless, capture_output=True, check=False)
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertEqual(json.loads(done.stdout)['state'], 'cancelled')
        self.assertEqual(list((self.repository / 'locks').glob('*')), [])
        self.check()
        self.assertEqual(len(self.restic_json('snapshots', '--json')), 1)

    def test_killed(self):
        """What a killed run has uploaded and indexed is used by the next one."""
        for i in range(6):
            (self.source / f'file-{i}').write_bytes(random_bytes(i, 30 << 20))
        self.backup('--init', source=pathlib.Path('/etc/hostname'))
        before = self.packs()
        killed = 0
        for _ in range(ROUNDS):
            command, environment = self.command('--index-interval', '1')
            with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
                indexes = len(list((self.repository / 'index').iterdir()))
                while process.poll() is None and len(list((self.repository / 'index').iterdir())) <= indexes:
                    time.sleep(0.005)
                process.send_signal(signal.SIGKILL)
            killed += process.returncode != 0
        self.assertGreater(killed, 0)
        uploaded = sum((self.repository / 'data' / name[:2] / name).stat().st_size for name in self.packs() - before)
        self.assertGreater(uploaded, 16 << 20)
        self.restic('unlock')
        result = self.backup()
        self.assertEqual(result['state'], 'succeeded')
        self.assertLess(result['bytes_written'], (180 << 20) - (10 << 20))
        self.check()
        self.restored()

    def test_killed_anywhere(self):
        """Killed at any moment: nothing is wrong with the repository, and old snapshots are whole."""
        rest = random.Random(1)
        (self.source / 'kept').write_bytes(random_bytes(1, 1 << 20))
        self.backup('--init')
        for _ in range(50 if LONG else 2):
            (self.source / 'new').write_bytes(rest.randbytes(60 << 20))
            command, environment = self.command('--index-interval', '1', '--uploads', str(rest.randrange(1, 4)))
            with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
                time.sleep(rest.random() * 0.8)
                process.kill()
            self.restic('unlock', '--remove-all')
            self.check()
        os.unlink(self.source / 'new')
        oldest = min(self.restic_json('snapshots', '--json'), key=lambda s: s['time'])
        self.restic('restore', oldest['id'], '--target', self.folder / 'oldest')
        restored = self.folder / 'oldest' / self.source.relative_to('/') / 'kept'
        self.assertEqual(restored.read_bytes(), random_bytes(1, 1 << 20))
        self.assertEqual(self.backup()['state'], 'succeeded')
        self.restored()

    @unittest.skipIf('ASAN_OPTIONS' in os.environ, 'sanitizers take memory of their own')
    def test_memory(self):
        """Memory does not grow with what is backed up."""
        for i in range(4):
            (self.source / f'file-{i}').write_bytes(random_bytes(i, 50 << 20))
        # All repositories of a run share the memory of packs.
        others = [word for i in range(2) for word in ('--repository', self.folder / f'other-{i}')]
        for i in range(2):
            (self.folder / f'other-{i}').mkdir()
        command, environment = self.command('--init', *others)
        self.assertLess(peak_memory(command, environment), MEMORY_MAX)


if __name__ == '__main__':
    unittest.main()
