#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Repositories that stock restic wrote, read by us: listed, dumped, restored, damaged."""

import atexit
import hashlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

import repositories
from repositories import PASSWORD, random_bytes

sys.path[:0] = [str(repositories.ROOT / 'tests' / 'lib')]
import trees  # pylint: disable=wrong-import-position

TOOL = repositories.BUILD / 'tests' / 'repository' / 'read-tool'
BACKUP_TOOL = TOOL.with_name('backup-tool')
TREECMP = repositories.ROOT / 'tests' / 'tools' / 'treecmp.py'
TEMPLATE = pathlib.Path(tempfile.mkdtemp(prefix='backupx-test-'))
atexit.register(shutil.rmtree, TEMPLATE, ignore_errors=True)
DATA = pathlib.Path(os.environ.get('BACKUPX_TEST_DATA') or repositories.ROOT.parent / 'shared' / 'data')


class Read(repositories.Repositories):
    """The tool beside restic."""

    messages = ''

    def tool(self, *arguments, status=0, repository=None, password=PASSWORD):
        """Runs the tool; gives what it printed, and what it said."""
        command = [TOOL, repository or self.repository, password, *arguments]
        done = subprocess.run([os.fspath(a) for a in command], capture_output=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr.decode(errors='replace'))
        return done.stdout, done.stderr.decode(errors='replace')

    def restore(self, *paths, rule='fail', status=0, out='out'):
        """Restores the newest snapshot; gives the result and the messages."""
        result, messages = self.tool('restore', 'latest', self.folder / out, rule, *paths, status=status)
        return json.loads(result), messages

    def check(self, *share, status=0):
        """Checks the repository; gives what was found."""
        found, self.messages = self.tool('check', *share, status=status)
        return json.loads(found)

    def compare(self, one, other, *options):
        """Both trees have to be the same."""
        done = subprocess.run([TREECMP, *options, one, other], capture_output=True, check=False, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def make_source(self):
        """A little of everything, large files, many small ones. No holes: the format does not hold them."""
        trees.make_small(self.source)
        (self.source / 'documents' / 'sparse').unlink()
        if os.geteuid() == 0:
            trees.make_privileged(self.source)
        (self.source / 'large').write_bytes(random_bytes(1, 8 << 20))
        (self.source / 'text').write_bytes(b'the same line again and again\n' * 200000)
        (self.source / 'many').mkdir()
        for i in range(500):
            (self.source / 'many' / str(i)).write_bytes(random_bytes(i, i * 7))

    def restored(self, out='out'):
        """Where the source is in what was restored."""
        return self.folder / out / str(self.source)[1:]

    def packs(self):
        """The files of packs."""
        return sorted((self.repository / 'data').glob('*/*'))


class Whole(Read):
    """What is right comes back as it was."""

    def check_version(self, version):
        """All tools on a repository of this version, beside restic's own."""
        self.make_source()
        self.restic('init', '--repository-version', str(version))
        self.restic('backup', self.source)

        paths, _ = self.tool('ls', 'latest')
        ours = {p for p in paths.split(b'\0') if p.startswith(bytes(self.source))}
        lines = self.restic('ls', 'latest').split(b'\n/')
        theirs = {b'/' + line.rstrip(b'\n') for line in lines if line.startswith(bytes(self.source)[1:])}
        self.assertEqual(ours, theirs)

        for name in ('text', 'large', 'documents/big', 'documents/empty-file'):
            data, _ = self.tool('dump', 'latest', self.source / name)
            self.assertEqual(
                hashlib.sha256(data).digest(), hashlib.sha256((self.source / name).read_bytes()).digest()
            )
        result, _ = self.restore()
        self.assertEqual(result['errors'], 0)
        self.compare(self.source, self.restored())
        snapshots, _ = self.tool('snapshots')
        self.assertEqual(len(snapshots.splitlines()), 1)
        self.check_stats()
        found = self.check('1', '1')
        self.assertEqual(found['packs_read'], len(self.packs()))
        self.assertEqual((found['problems'], found['blobs_unused'], found['packs_unknown']), (0, 0, 0))

    def check_stats(self):
        """As restic counts."""
        ours = json.loads(self.tool('stats')[0])
        raw = self.restic_json('stats', '--mode', 'raw-data', '--json')
        restored = self.restic_json('stats', '--mode', 'restore-size', '--json')
        self.assertEqual(ours['blobs'], raw['total_blob_count'])
        self.assertEqual(ours['bytes_stored'], raw['total_size'])
        self.assertEqual(ours['more'], 0)
        inodes = {os.lstat(p).st_ino: os.lstat(p) for p in self.source.rglob('*')}
        self.assertEqual(restored['total_size'], sum(s.st_size for s in inodes.values() if stat.S_ISREG(s.st_mode)))
        self.assertGreaterEqual(ours['bytes'], restored['total_size'])

    def test_version_1(self):
        """Nothing is compressed."""
        self.check_version(1)

    def test_version_2(self):
        """Blobs and files are compressed, or not."""
        self.check_version(2)

    def test_own_repository(self):
        """One that we made: restic takes it, ignores our key, and writes into it."""
        self.repository.mkdir()
        self.tool('init')
        config = json.loads(self.restic('cat', 'config'))
        self.assertEqual(config['version'], 2)
        (self.source / 'file').write_bytes(random_bytes(3, 3 << 20))
        self.restic('backup', self.source)
        self.restic('check', '--read-data')
        self.restore()
        self.compare(self.source, self.restored())

    def test_chosen_paths(self):
        """Only what was chosen is restored, with the metadata of the directories that lead there; a second
        start reads only what is missing; what is in the way stays, or nothing happens at all."""
        self.make_source()
        os.chmod(self.source, 0o710)
        self.restic('init')
        self.restic('backup', self.source)
        result, _ = self.restore(self.source / 'documents', self.source / 'many' / '77')
        self.compare(self.source / 'documents', self.restored() / 'documents')
        self.assertEqual(sorted(os.listdir(self.restored())), ['documents', 'many'])
        self.assertEqual(os.listdir(self.restored() / 'many'), ['77'])
        self.assertEqual(os.stat(self.restored()).st_mode & 0o777, 0o710)
        self.assertEqual(result['errors'], 0)
        _, message = self.tool('restore', 'latest', self.folder / 'other', 'fail', '/not/there', status=4)
        self.assertIn('does not have /not/there', message)
        self.assertFalse((self.folder / 'other').exists())

        result, message = self.restore(status=4)
        self.assertEqual(result['code'], 'EXISTS')
        self.assertIn('Nothing was restored', message)
        self.assertFalse((self.restored() / 'text').exists())
        result, _ = self.restore(rule='skip')
        self.assertGreater(result['skipped'], 0)
        self.compare(self.source, self.restored(), '--no-directory-times')
        (self.restored() / 'large').unlink()
        (self.restored() / 'text').write_bytes(b'changed')
        result, _ = self.restore(rule='resume')
        self.compare(self.source, self.restored())
        self.assertEqual(result['bytes_read'], (8 << 20) + 200000 * 30)

    def test_sparse(self):
        """Long runs of zeros are neither read nor written."""
        with open(self.source / 'sparse', 'wb') as file:
            file.truncate(1 << 30)
            file.seek(200 << 20)
            file.write(b'in the middle')
        self.restic('init')
        self.restic('backup', self.source)
        result, _ = self.restore()
        there = self.restored() / 'sparse'
        self.assertEqual(there.stat().st_size, 1 << 30)
        self.assertLess(there.stat().st_blocks * 512, 1 << 20)
        with open(there, 'rb') as file:
            file.seek((200 << 20) - 10)
            self.assertEqual(file.read(40), bytes(10) + b'in the middle' + bytes(17))

    def test_short_holes(self):
        """Zeros of any length are not written, whether or not as many came before; a dump has them all."""
        for i in range(30):
            (self.source / str(i)).write_bytes(bytes(300_000 + i // 3))
        (self.source / 'mixed').write_bytes(bytes(300_000) + b'x')
        self.restic('init')
        self.restic('backup', self.source)
        self.restore()
        for i in range(30):
            there = self.restored() / str(i)
            self.assertEqual(there.read_bytes(), bytes(300_000 + i // 3))
            self.assertEqual(there.stat().st_blocks, 0, i)
        self.assertEqual((self.restored() / 'mixed').read_bytes(), bytes(300_000) + b'x')
        dumped, _ = self.tool('dump', 'latest', self.source / '7')
        self.assertEqual(dumped, bytes(300_002))

    def test_stored_repositories(self):
        """Written by other versions of restic: restored as stock restic restores them, and written to."""
        if not (DATA / 'restic-repos').is_dir():
            self.skipTest(f'{DATA}/restic-repos is not there')
        (self.source / 'file').write_bytes(random_bytes(1, 100_000))
        for path in sorted((DATA / 'restic-repos').glob('*.tar.gz')):
            with self.subTest(path.name):
                folder = self.folder / path.name
                folder.mkdir()
                subprocess.run(['tar', '-xzf', path, '-C', folder], check=True)
                self.check_stored(folder, folder / 'repo')

    def check_stored(self, folder, repository):
        """One of them."""
        environment = {**os.environ, 'RESTIC_PASSWORD': 'geheim', 'RESTIC_REPOSITORY': str(repository)}

        def stock(*words):
            repositories.run('restic', '--no-cache', *words, env=environment)
        snapshots, _ = self.tool('snapshots', repository=repository, password='geheim')
        names = [line.split()[0] for line in snapshots.decode().splitlines()]
        self.assertEqual(sorted(names), sorted(os.listdir(repository / 'snapshots')))
        for name in names:
            self.tool('restore', name, folder / name, 'fail', repository=repository, password='geheim')
            stock('restore', '--no-lock', name, '--target', folder / 'stock')
            done = subprocess.run([TREECMP, folder / 'stock', folder / name], capture_output=True, check=False,
                                  text=True)
            # The root is of no snapshot.
            self.assertEqual([line for line in done.stdout.splitlines() if not line.startswith("b'': ")], [])
            self.assertEqual(done.stderr, '')
            shutil.rmtree(folder / 'stock')
        repositories.run(BACKUP_TOOL, '--repository', repository, self.source, env=environment)
        stock('check', '--read-data')
        self.assertEqual(len(os.listdir(repository / 'snapshots')), len(names) + 1)


class Damaged(Read):
    """What is not right never comes back."""

    def assert_found(self, path, offset, share=('1', '1')):
        """One bit is found when data is read, and the message names the pack."""
        self.flip(path, offset)
        found = self.check(*share, status=3)
        self.assertGreater(found['problems'], 0)
        self.assertIn(path.name[:16], self.messages)
        self.flip(path, offset)

    def test_check(self):
        """Bits in blobs, in the header and in its size; packs cut off, gone, and of no index."""
        self.check('1', '1')
        pack = max(self.packs(), key=lambda path: path.stat().st_size)
        size = pack.stat().st_size
        for offset in (5, size // 2, size - 1, size - 4, size - 10, size - 60):
            self.assert_found(pack, offset)
        shares = [self.check(str(i), '4')['packs_read'] for i in range(1, 5)]
        self.assertEqual(sum(shares), len(self.packs()))
        other = self.repository / 'data' / 'ab' / ('ab' * 32)
        other.parent.mkdir(exist_ok=True)
        shutil.copy(pack, other)
        self.assertEqual(self.check()['packs_unknown'], 1)
        self.check('1', '1', status=3)
        self.assertIn('not what its name says', self.messages)
        other.unlink()
        with open(pack, 'r+b') as file:
            file.truncate(size - 1)
        self.check('1', '1', status=3)
        self.check(status=3)
        self.assertIn('cut off', self.messages)
        pack.unlink()
        self.check(status=3)
        self.assertIn(f'{pack.name[:16]}, which the index names, is missing', self.messages)

    def setUp(self):
        """A repository with some packs, made once and then copied."""
        super().setUp()
        made = TEMPLATE / 'repository'
        self.source = TEMPLATE / 'source'
        if not made.exists():
            self.source.mkdir()
            for i in range(8):
                (self.source / f'{i:02}').write_bytes(random_bytes(i, 1 << 20))
            self.restic('init')
            self.restic('backup', self.source)
            shutil.copytree(self.repository, made)
        else:
            shutil.copytree(made, self.repository)

    def flip(self, path, offset):
        """Changes one bit of a file."""
        os.chmod(path, 0o600)
        data = bytearray(path.read_bytes())
        data[offset] ^= 16
        path.write_bytes(data)

    def test_data(self):
        """One bit in a data pack: one file is named and not there, all others are."""
        pack = max(self.packs(), key=lambda path: path.stat().st_size)
        self.flip(pack, 100)
        result, message = self.restore(status=3)
        self.assertEqual(result['errors'], 1)
        self.assertEqual(result['files'], 7)
        self.assertIn('is damaged', message)
        there = sorted(os.listdir(self.restored()))
        self.assertEqual(len(there), 7)
        for name in there:
            self.assertEqual((self.restored() / name).read_bytes(), (self.source / name).read_bytes())
        missing = next(f'{i:02}' for i in range(8) if f'{i:02}' not in there)
        self.assertIn(missing, message)
        data, _ = self.tool('dump', 'latest', self.source / missing, status=2)
        self.assertLess(len(data), 1 << 20)
        self.assertTrue((self.source / missing).read_bytes().startswith(data))

    def test_missing_pack(self):
        """A pack that is gone: its files are named."""
        max(self.packs(), key=lambda path: path.stat().st_size).unlink()
        result, message = self.restore(status=3)
        self.assertIn('is missing', message)
        self.assertGreater(result['errors'], 0)
        self.assertEqual(result['errors'] + result['files'], 8)

    def test_other_files(self):
        """One bit anywhere else: nothing is restored, and the message names the file."""
        for kind, word in (('index', 'index'), ('snapshots', 'snapshot'), ('keys', 'key')):
            path = next((self.repository / kind).iterdir())
            self.flip(path, 60)
            if kind != 'keys':
                self.check(status=3)
                self.assertIn(word, self.messages)
            _, message = self.tool('restore', 'latest', self.folder / 'out', 'fail',
                                   status=4 if kind != 'keys' else 2)
            self.assertIn(word, message)
            self.assertFalse((self.folder / 'out').exists())
            self.flip(path, 60)
        self.flip(self.repository / 'config', 20)
        _, message = self.tool('snapshots', status=2)
        self.assertIn('config', message)

    def test_trees(self):
        """Bits in the pack of trees: what cannot be read is named, never guessed."""
        pack = min(self.packs(), key=lambda path: path.stat().st_size)
        self.check(status=0)
        self.flip(pack, 100)
        self.check(status=3)
        self.assertIn('cannot be read', self.messages)
        result, message = self.tool('restore', 'latest', self.folder / 'out', 'fail', status=self.tree_status())
        self.assertIn('damaged', message)
        self.assertNotEqual(json.loads(result)['state'], 0)

    def tree_status(self):
        """3 where the tree that is damaged is not the root, else 4."""
        done = subprocess.run([TOOL, self.repository, PASSWORD, 'ls', 'latest'], capture_output=True, check=False)
        return 3 if done.stdout else 4

    def test_password(self):
        """Not the password."""
        _, message = self.tool('snapshots', status=2, password='wrong')
        self.assertIn('REPOSITORY_PASSWORD', message)


if __name__ == '__main__':
    unittest.main()
