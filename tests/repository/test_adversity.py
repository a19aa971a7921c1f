#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Repositories on storages that fail, lie, are full or flip bits, and by programs that are killed: what is called
good is good, by stock restic's word. On a disk, on an S3 server in memory, and in the long rounds on Ceph.
BACKUPX_TEST_SEED repeats the choices."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import repositories

sys.path[:0] = [str(repositories.ROOT / 'tests' / 'lib'), str(repositories.ROOT / 'tests' / 'storage')]
# pylint: disable=wrong-import-position
import adverse_s3
import ceph
import fake_s3
import sigv4

TOOLS = repositories.BUILD / 'tests' / 'repository'
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
SEED = int(os.environ.get('BACKUPX_TEST_SEED') or time.time_ns() % 1000000)
KILLS = 50 if LONG else 1
KIB = 1 << 10
MIB = 1 << 20
SHARED = {}
long_only = unittest.skipUnless(LONG, 'long rounds: the others show it')  # pylint: disable=invalid-name
PREFIX = 'a/prefix/'


def content_of(folder):
    """Digests of all files below a folder."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob('*')) if p.is_file()}


class Adversity(repositories.Repositories):
    """Backups whose content is remembered, in a repository anywhere."""

    where = None  # for the tools

    def setUp(self):
        super().setUp()
        self.rest = random.Random(SEED)
        self.good = {}
        self.round = 0
        self.environment = {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD,
                            'RESTIC_CACHE_DIR': str(self.folder / 'cache')}
        self.repository.mkdir()
        print(f'seed {SEED}', file=sys.stderr)

    def stock(self, repository, *words):
        """Stock restic."""
        return repositories.run('restic', '-r', repository, *words, env=self.environment)

    def command(self, tool, *words):
        if tool == 'read':
            return [TOOLS / 'read-tool', self.where, repositories.PASSWORD, *words]
        return [TOOLS / f'{tool}-tool', *words]

    def tool(self, tool, *words, may=(0,), prefix=()):
        """Its result, what it said, and its status."""
        command = [os.fspath(w) for w in [*prefix, *self.command(tool, *words)]]
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        said = done.stderr.decode(errors='replace')
        self.assertIn(done.returncode, may, said)
        return json.loads(done.stdout or b'null') if tool != 'read' or words[0] in ('check', 'restore') else None, \
            said, done.returncode

    def change(self, size=400 * KIB):
        """Some files are other ones than before."""
        self.round += 1
        for number in range(4):
            if self.round == 1 or number == self.round % 4:
                (self.source / f'file-{number}').write_bytes(self.rest.randbytes(size + number))
        folder = self.source / f'folder-{self.round % 3}'
        folder.mkdir(exist_ok=True)
        (folder / f'small-{self.round % 7}').write_bytes(self.rest.randbytes(3000))

    def backup(self, *options, may=(0,), prefix=()):
        """One more; remembers what it calls good."""
        result, said, status = self.tool('backup', '--repository', self.where, '--time-ahead', str(100 * self.round),
                                         *options, self.source, may=may, prefix=prefix)
        if result and result['targets'][0]['succeeded']:
            self.good[result['targets'][0]['snapshot']] = content_of(self.source)
        elif status not in (0, 2):  # 2 has said it
            self.assertNotEqual(result['targets'][0]['code'], '', said)
        return result

    def prune(self, *options, may=(0,), prefix=()):
        return self.tool('prune', '--unused', '0', *options, self.where, 'prune', may=may, prefix=prefix)

    def forget(self, keep, may=(0,), prefix=()):
        """What it may have removed is not expected any more, though it may be there."""
        result, said, status = self.tool('prune', self.where, 'forget', f'last={keep}', may=may, prefix=prefix)
        items = result['items'] if result else []
        # Where it ended before it had decided, which keeps one at least, it removed nothing.
        for item in items if any(item['reasons'] for item in items) else []:
            if not item['reasons']:
                self.good.pop(item['id'], None)
        return result, said, status

    def as_folder(self):
        """The repository as a folder, its locks removed by stock restic."""
        self.stock(self.repository, 'unlock')
        return self.repository

    def restored_by(self, restore, snapshot):
        """What comes back."""
        target = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        try:
            restore(target, snapshot)
            return content_of(target / str(self.source)[1:])
        finally:
            shutil.rmtree(target)

    def verify(self, newest=None):
        """Nothing is wrong, and all that was called good is there, and is."""
        folder = self.as_folder()
        self.stock(folder, 'check', '--read-data')
        listed = [s['id'] for s in json.loads(self.stock(folder, 'snapshots', '--no-lock', '--json'))]
        self.assertLessEqual(set(self.good), set(listed))
        for snapshot in list(self.good)[-newest if newest else 0:]:
            got = self.restored_by(lambda target, name: self.stock(
                folder, 'restore', '--no-lock', name, '--target', str(target)), snapshot)
            self.assertEqual(got, self.good[snapshot], snapshot)

    def assert_no_lie(self, snapshot):
        """Our restore gives what was saved, or says that it does not; nothing wrong is in its place."""
        states = []

        def restore(target, name):
            states.append(self.tool('read', 'restore', name, target, 'fail', may=(0, 2, 3, 4))[2])
        got = self.restored_by(restore, snapshot)
        wanted = self.good[snapshot]
        self.assertEqual({k: v for k, v in got.items() if wanted.get(k) != v}, {}, 'bytes that were never saved')
        self.assertEqual(states[0] == 0, got == wanted)
        return states[0]

    def killed(self, limit, tool, *words):
        """Starts a tool and kills it within that time; gives whether it was."""
        with subprocess.Popen([os.fspath(w) for w in self.command(tool, *words)], env=self.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(self.rest.uniform(0, limit))
            except subprocess.TimeoutExpired:
                process.kill()
        return process.returncode != 0


class Rounds:
    """What every storage has to stand."""

    def timed(self, work):
        start = time.monotonic()
        work()
        return time.monotonic() - start

    def blobs(self):
        """How many the index has."""
        return self.tool('read', 'check')[0]['blobs']

    def test_killed_backups(self):
        """Old snapshots stay whole, and the next run uses what was uploaded."""
        self.change(2 * MIB)
        limit = self.timed(lambda: self.backup('--init'))
        kills = 0
        while kills < KILLS:
            self.change(2 * MIB)
            if not self.killed(limit, 'backup', '--repository', self.where, '--index-interval', '1', '--time-ahead',
                               str(100 * self.round), self.source):
                snapshots = json.loads(self.stock(self.as_folder(), 'snapshots', '--no-lock', '--json'))
                self.good[snapshots[-1]['id']] = content_of(self.source)
                continue
            kills += 1
            self.verify(newest=3)
            found = self.blobs()
            result = self.backup()
            self.assertEqual(found + result['new_blobs'], self.blobs())
            if kills % 5 == 0:
                self.forget(2)
        self.verify()

    def test_killed_prunes(self):
        """Every snapshot that was to stay is there; the next prune is as good as any."""
        self.change()
        self.backup('--init')
        for _ in range(3):
            self.change()
            self.backup()
        forgotten = self.timed(lambda: self.forget(2))
        pruned = self.timed(self.prune)
        kills = {'forget': 0, 'prune': 0}
        while min(kills.values()) < KILLS:
            for _ in range(2):
                self.change()
                self.backup()
            kept = dict(list(self.good.items())[-2:])
            kills['forget'] += self.killed(forgotten, 'prune', self.where, 'forget', 'last=2')
            self.good = kept
            self.as_folder()
            self.forget(2)
            kills['prune'] += self.killed(pruned, 'prune', '--unused', '0', self.where, 'prune')
            self.verify()
        self.prune()
        self.assertEqual(self.prune()[0]['packs_removed'], 0)
        self.verify()


class OnDisk(Adversity, Rounds):
    """A folder."""

    def setUp(self):
        super().setUp()
        self.where = self.repository
        if not LONG and 'killed' in self.id():
            self.skipTest('long rounds: test_backup.py and test_prune.py have one on a disk')

    def faults(self, number):
        """Each twentieth call of each kind fails, beginning at another one each time."""
        calls = 'linkat,unlinkat,getdents64,fdatasync,pread64,pwrite64,write,openat,mkdirat'
        return ['strace', '-f', '-qq', '-o', '/dev/null', '-P', self.repository, '-e', f'trace={calls}', '-e',
                f'inject={calls}:error=EIO:when={number % 20 + 1}+20']

    def trace(self, number):
        """The same; of this repository alone, whose every folder has to be named."""
        faults = self.faults(number)
        at = faults.index('-P')
        folders = [self.repository, *(p for p in self.repository.rglob('*') if p.is_dir())]
        return [*faults[:at], *(w for f in folders for w in ('-P', f)), *faults[at + 2:]]

    def test_calls_fail(self):
        """One in twenty."""
        self.change()
        self.backup('--init')
        failed = 0
        for number in range(40 if LONG else 1):
            self.change()
            result = self.backup(may=(0, 2, 3, 4), prefix=self.trace(7 * number))
            failed += not result or result['state'] != 'succeeded'
            self.stock(self.repository, 'unlock')
            failed += self.forget(3, may=(0, 2), prefix=self.trace(3 * number))[2] != 0
            self.stock(self.repository, 'unlock')
            failed += self.prune(may=(0, 2), prefix=self.trace(number))[2] != 0
            self.verify(newest=3)
        self.assertGreater(failed, 0)
        self.backup()
        self.forget(2)
        self.prune()
        self.verify()

    @long_only
    def test_killed_at_each_step(self):
        """Before each file that a thread of it puts in its place; what the index names by then is not stored
        again."""
        self.change(2 * MIB)
        self.backup('--init')
        reused = []
        status, number = -9, 0
        while status != 0:
            number += 1
            self.change(2 * MIB)
            before = self.blobs()
            prefix = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=linkat', '-e',
                      f'inject=linkat:signal=KILL:when={number}']
            _, _, status = self.tool('backup', '--repository', self.where, '--time-ahead', str(100 * self.round),
                                     self.source, may=(0, -9), prefix=prefix)
            self.verify()
            found = self.blobs()
            result = self.backup()
            self.assertEqual(found + result['new_blobs'], self.blobs())
            reused.append(found > before and result['new_bytes'] < 2 * MIB)
        self.verify()
        self.assertGreater(number, 2)
        self.assertIn(True, reused[:-1])

    def test_full(self):
        """A backup that finds no room, and a repack."""
        if os.geteuid() != 0:
            self.skipTest('needs root')
        repositories.run('mount', '-t', 'tmpfs', '-o', 'size=12m', 'none', self.repository)
        self.addCleanup(subprocess.run, ['umount', '-l', self.repository], check=False)
        self.change(MIB)
        self.backup('--init')
        (self.source / 'large').write_bytes(self.rest.randbytes(20 * MIB))
        result = self.backup(may=(4,))
        self.assertEqual((result['code'], result['targets'][0]['code']), ('STORAGE_FULL', 'STORAGE_FULL'))
        self.assertIn(str(self.repository), result['message'])
        os.unlink(self.source / 'large')
        self.verify()
        self.prune()
        for _ in range(3):
            self.change(MIB)
            self.backup()
        self.forget(1)
        before = {p.name for p in (self.repository / 'data').rglob('*') if p.is_file()}
        with open(self.repository / 'filler', 'wb') as filler:
            free = os.statvfs(self.repository)
            filler.write(bytes(free.f_bavail * free.f_bsize - 200 * KIB))
        self.assertIn('[STORAGE_FULL]', self.prune(may=(2,))[1])
        self.assertLessEqual(before, {p.name for p in (self.repository / 'data').rglob('*') if p.is_file()})
        os.unlink(self.repository / 'filler')
        self.verify()
        self.assertGreater(self.prune()[0]['packs_repacked'], 0)
        self.verify()

    def test_flipped_bits(self):
        """Anywhere: named by check, never restored, and no prune takes it further."""
        for number in range(4):
            self.change(100 * KIB)
            self.backup(*['--init'] * (number == 0))
        paths = sorted(p for f in ['data', 'index', 'snapshots'] for p in (self.repository / f).rglob('*')
                       if p.is_file()) + [self.repository / 'config']
        for number in range(50 if LONG else 2):
            path = self.rest.choice(paths) if number > 0 else self.repository / 'config'
            data = path.read_bytes()
            place = self.rest.randrange(len(data))
            path.chmod(0o600)
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << self.rest.randrange(8)]) + data[place + 1:])
            _, said, status = self.tool('read', 'check', '1', '1', may=(2, 3))
            self.assertIn('config' if status == 2 else path.name[:16], said)
            for snapshot in self.good:
                self.assert_no_lie(snapshot)
            path.write_bytes(data)
        self.verify()


class OnS3(Adversity, Rounds):
    """Through something that can be made to misbehave."""

    def setUp(self):
        super().setUp()
        self.begin()
        self.proxy = self.enterContext(adverse_s3.AdverseS3(self.port, SEED))
        self.retry(0)

    def begin(self):
        self.server = fake_s3.FakeS3()
        self.enterContext(self.server)
        self.port = self.server.server_port
        self.config = {'bucket': fake_s3.BUCKET, 'access_key': 'AK'}
        self.secrets = {'secret_key': self.server.secret, 'session_token': self.server.token}

    def retry(self, milliseconds):
        """For how long a failed call is repeated; 0: as long as always."""
        path = self.folder / 'target.json'
        config = {'endpoint': f'http://127.0.0.1:{self.proxy.server_port}', 'prefix': PREFIX[:-1], 'part_size': 5,
                  **self.config}
        path.write_text(json.dumps({'type': 's3', 'config': config, 'secrets': self.secrets,
                                    'retry_ms': milliseconds}), encoding='utf-8')
        self.where = f'@{path}'

    def objects(self):
        """Every key and its bytes."""
        return {key: data for key, (data, _) in self.server.objects.items()}

    def remove(self, key):
        del self.server.objects[key]

    def as_folder(self):
        """A copy of it; a lock that restic removes there is removed here."""
        shutil.rmtree(self.repository)
        for key, data in self.objects().items():
            path = self.repository / key.removeprefix(PREFIX)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in ('data', 'index', 'keys', 'locks', 'snapshots'):
            (self.repository / name).mkdir(exist_ok=True)
        locks = os.listdir(self.repository / 'locks')
        self.stock(self.repository, 'unlock')
        for name in set(locks) - set(os.listdir(self.repository / 'locks')):
            self.remove(f'{PREFIX}locks/{name}')
        return self.repository

    def test_calls_fail(self):
        """One in twenty, with and without patience."""
        self.change()
        self.backup('--init')
        failed = 0
        for number in range(40 if LONG else 2):
            self.retry(1 if number % 2 == 0 else 1000)
            self.change()
            self.proxy.fail = 0.05
            result = self.backup(may=(0, 2, 3, 4))
            failed += not result or result['state'] != 'succeeded'
            failed += self.forget(3, may=(0, 2))[2] != 0
            failed += self.prune(may=(0, 2))[2] != 0
            failed += self.assert_no_lie(list(self.good)[-1]) != 0
            self.tool('read', 'check', may=(0, 2, 3))
            self.proxy.be_good()
            self.verify(newest=3)
        if LONG:  # of few calls none may have been chosen
            self.assertGreater(failed, 0)
        self.backup()
        self.forget(2)
        self.prune()
        self.verify()

    def test_stale_lists(self):
        """What was written is listed late, and what was removed is listed yet; nobody was told."""
        self.proxy.stale = 2 if LONG else 0.3
        self.change()
        self.backup('--init')
        for _ in range(6 if LONG else 1):
            self.change()
            self.assertEqual(self.backup()['state'], 'succeeded')
            result = self.forget(1)[0]
            self.assertEqual((result['kept'], result['removed']), (1, 1))
            self.prune()
            self.verify()
        if LONG:  # a slow machine lists later than that
            self.assertGreater(self.proxy.hidden, 0)

    @long_only
    def test_stale_lists_of_two(self):
        """A backup and a prune that begin at once do not miss each other's locks."""
        self.proxy.stale = 2
        self.change()
        self.backup('--init')
        for _ in range(5):
            self.change()
            self.backup()
            self.forget(1)
            self.change()
            pruner = subprocess.Popen([os.fspath(w) for w in self.command('prune', '--unused', '0', self.where,
                                                                          'prune')],
                                      env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            result = self.backup(may=(0, 4))
            said = pruner.communicate()[1].decode()
            if pruner.returncode == 0:
                self.assertTrue(result['state'] == 'succeeded' or result['code'] == 'REPOSITORY_LOCKED', result)
            else:
                self.assertIn('[REPOSITORY_LOCKED]', said)
            self.verify()

    def test_full(self):
        """A backup that finds no room, and a repack."""
        self.change(MIB)
        self.backup('--init')
        (self.source / 'large').write_bytes(self.rest.randbytes(20 * MIB))
        self.proxy.room = 8 * MIB
        result = self.backup(may=(4,))
        self.assertEqual((result['code'], result['targets'][0]['code']), ('STORAGE_QUOTA', 'STORAGE_QUOTA'))
        os.unlink(self.source / 'large')
        self.proxy.be_good()
        self.verify()
        for _ in range(3):
            self.change(MIB)
            self.backup()
        self.forget(1)
        before = set(self.objects())
        self.proxy.room = 100 * KIB
        self.assertIn('[STORAGE_QUOTA]', self.prune(may=(2,))[1])
        self.assertLessEqual({k for k in before if '/data/' in k}, set(self.objects()))
        self.proxy.be_good()
        self.verify()
        result = self.prune()[0]
        self.assertGreater(result['packs_repacked'], 0)
        self.assertEqual(result['packs_hidden'], 0)
        self.verify()

    def keep_versions(self):
        """From now on what is removed is only hidden."""
        self.server.versions = True

    def test_versions(self):
        """A bucket that keeps what is removed: told, and no backup is the worse for it."""
        self.keep_versions()
        self.change()
        self.backup('--init')
        for _ in range(3):
            self.change()
            self.backup()
        self.forget(1)
        result = self.prune()[0]
        self.assertGreater(result['packs_removed'], 0)
        self.assertEqual((result['packs_hidden'], result['bytes_hidden']),
                         (result['packs_removed'], result['bytes_removed']))
        self.verify()
        self.change()
        self.backup()
        self.verify()

    def test_flipped_bits(self):
        """On the way back: whoever reads them says so, or has asked again."""
        self.change()
        self.backup('--init')
        found = 0
        for _ in range(30 if LONG else 1):
            self.change()
            self.proxy.flip = 0.1
            flipped = self.proxy.flipped
            status = self.tool('read', 'check', '1', '1', may=(0, 2, 3))[2]
            # What lies between the blobs that are wanted is read with them and not looked at.
            self.assertTrue(status == 0 or self.proxy.flipped > flipped)
            found += status != 0
            self.assert_no_lie(list(self.good)[-1])
            self.backup(may=(0, 2, 3, 4))
            self.forget(3, may=(0, 2))
            self.prune(may=(0, 2))
            self.proxy.be_good()
            self.verify(newest=3)
        if LONG:
            self.assertGreater(found, 0)


@unittest.skipUnless(LONG, 'long rounds: Ceph takes its time')
class OnCeph(OnS3):
    """The same on a real server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        why = ceph.missing()
        if why:
            raise unittest.SkipTest(why)
        folder = tempfile.mkdtemp(prefix='backupx-ceph-')
        cls.addClassCleanup(shutil.rmtree, folder)
        SHARED['ceph'] = ceph.Ceph(folder)
        cls.addClassCleanup(SHARED['ceph'].close)

    def begin(self):
        self.port = SHARED['ceph'].port
        self.client = sigv4.Client(SHARED['ceph'].url, ceph.ACCESS_KEY, ceph.SECRET_KEY)
        self.bucket = f'b{time.monotonic_ns()}'
        self.assertEqual(self.client.request('PUT', f'/{self.bucket}')[0], 200)
        self.config = {'preset': 'ceph', 'bucket': self.bucket, 'access_key': ceph.ACCESS_KEY}
        self.secrets = {'secret_key': ceph.SECRET_KEY}
        self.environment.update(AWS_ACCESS_KEY_ID=ceph.ACCESS_KEY, AWS_SECRET_ACCESS_KEY=ceph.SECRET_KEY)

    def objects(self):
        status, _, body = self.client.request('GET', f'/{self.bucket}', [('list-type', '2'), ('prefix', PREFIX)])
        self.assertEqual((status, b'<IsTruncated>true' in body), (200, False))
        keys = [k.decode() for k in adverse_s3.KEY.findall(body)]
        return {k: self.client.request('GET', f'/{self.bucket}/{k}')[2] for k in keys}

    def keep_versions(self):
        """And what is written is retained, which no marker above it changes."""
        self.bucket += 'l'
        status, _, body = self.client.request('PUT', f'/{self.bucket}', headers=[
            ('x-amz-bucket-object-lock-enabled', 'true')])
        self.assertEqual(status, 200, body)
        self.config.update(bucket=self.bucket, lock_mode='GOVERNANCE', lock_days=1)
        self.retry(0)

    def remove(self, key):
        self.assertEqual(self.client.request('DELETE', f'/{self.bucket}/{key}')[0], 204)

    def test_stock_restic(self):
        """Past everything, on the server itself, in turns."""
        there = f's3:{SHARED["ceph"].url}/{self.bucket}/{PREFIX[:-1]}'
        self.change()
        self.backup('--init')
        for _ in range(3):
            self.change()
            self.stock(there, 'backup', '--host', 'host', str(self.source))
            self.change()
            self.backup()
            self.stock(there, 'check', '--read-data')
        self.forget(2)
        self.prune()
        self.stock(there, 'check', '--read-data')
        self.stock(there, 'forget', '--keep-last', '1', '--group-by', '', '--prune', '--max-unused', '0')
        self.good = dict(list(self.good.items())[-1:])
        self.backup()
        self.verify()


if __name__ == '__main__':
    unittest.main()
