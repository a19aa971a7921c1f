#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Forgetting and pruning: what remains is whole for stock restic, whatever comes in between."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
import unittest

import repositories

TOOLS = repositories.BUILD / 'tests' / 'repository'
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
KILLS = 50 if LONG else 2
long_only = unittest.skipUnless(LONG, 'long rounds: what the others show, elsewhere')  # pylint: disable=invalid-name
MIB = 1 << 20
LISTED = ['snapshots', 'index', 'data']


class Prune(repositories.Repositories):
    """A repository whose snapshots share some of their content."""

    def setUp(self):
        """Makes nothing yet but counters."""
        super().setUp()
        self.environment = {**os.environ, 'RESTIC_PASSWORD': repositories.PASSWORD,
                            'RESTIC_REPOSITORY': str(self.repository),
                            'RESTIC_CACHE_DIR': str(self.folder / 'cache')}
        self.round = 0
        self.contents = {}

    def tool(self, *arguments, code=None, prefix=()):
        """Runs prune-tool: its result, or nothing where it has to fail with a code."""
        command = [*prefix, TOOLS / 'prune-tool', *arguments]
        done = subprocess.run([os.fspath(a) for a in command], env=self.environment, capture_output=True,
                              check=False)
        said = done.stderr.decode()
        if code is None:
            self.assertEqual(done.returncode, 0, said)
        else:
            self.assertEqual(done.returncode, 2, said)
            self.assertIn(f'[{code}]', said)
        return json.loads(done.stdout or 'null')

    def prune(self, *options, **more):
        """Prunes."""
        return self.tool(*options, self.repository, 'prune', **more)

    def forget(self, *rules, options=(), **more):
        """Forgets."""
        return self.tool(*options, self.repository, 'forget', *rules, **more)

    def source_content(self, folder):
        """Digests of all files below a folder."""
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted(folder.rglob('*')) if p.is_file()}

    def change(self):
        """Some files of the source are other ones than before."""
        self.round += 1
        for number in range(4):
            if self.round == 1 or number == self.round % 4:
                (self.source / f'file-{number}').write_bytes(
                    repositories.random_bytes(100 * self.round + number, MIB + 12345))
        for number in range(30):
            if self.round == 1 or number % 5 == self.round % 5:
                folder = self.source / f'folder-{number % 3}'
                folder.mkdir(exist_ok=True)
                (folder / f'small-{number}').write_bytes(
                    repositories.random_bytes(1000 * self.round + number, 3000))

    def backup(self, writer='ours', init=False):
        """One snapshot of the source as it is; remembers what is in it."""
        if writer == 'ours':
            more = ['--init'] if init else []
            self.repository.mkdir(exist_ok=True)
            out = repositories.run(TOOLS / 'backup-tool', '--repository', self.repository, *more,
                                   self.source, env=self.environment)
            snapshot = json.loads(out)['targets'][0]['snapshot']
        else:
            if init:
                self.restic('init')
            out = self.restic('backup', '--host', 'host', '--json', str(self.source))
            snapshot = json.loads(out.splitlines()[-1])['snapshot_id']
        self.contents[snapshot[:8]] = self.source_content(self.source)

    def make(self, snapshots=5, writer='ours'):
        """A repository with so many snapshots."""
        for number in range(snapshots):
            self.change()
            self.backup(writer, init=number == 0)

    def init(self):
        """An empty repository, whose key costs stock restic less time than its own."""
        self.repository.mkdir(exist_ok=True)
        repositories.run(TOOLS / 'read-tool', self.repository, repositories.PASSWORD, 'init')

    def files(self, *folders):
        """Names and sizes of files of the repository."""
        return {str(p.relative_to(self.repository)): p.stat().st_size
                for folder in folders or ['data', 'index', 'snapshots']
                for p in (self.repository / folder).rglob('*') if p.is_file()}

    def snapshots(self):
        """Short names of all snapshots, the oldest first."""
        listed = self.restic_json('snapshots', '--no-lock', '--json')
        return [s['id'][:8] for s in sorted(listed, key=lambda s: s['time'])]

    def check_whole(self):
        """Stock restic finds nothing wrong, and each snapshot gives what was in the source."""
        self.restic('check', '--read-data')
        snapshots = self.snapshots()
        for snapshot in snapshots:
            target = self.folder / 'restored'
            # Without its lock, which costs 0.2 s each time; check takes one.
            self.restic('restore', '--no-lock', snapshot, '--target', str(target))
            inside = target / str(self.source).lstrip('/')
            self.assertEqual(self.source_content(inside), self.contents[snapshot], snapshot)
            shutil.rmtree(target)
        return snapshots

    def assert_clean(self):
        """Neither restic nor we find anything to give back."""
        result = self.prune('--dry-run', '--unused', '0')
        self.assertEqual((result['packs_removed'], result['blobs_unused'], result['blobs_duplicate']),
                         (0, 0, 0), result)
        self.assertIn(b'unused size after prune: 0 B',
                      self.restic('prune', '--dry-run', '--no-lock', '--max-unused', '0'))


class Together(Prune):
    """With restic, in turns."""

    def test_turns(self):
        """We prune what both wrote, then restic does, then we do."""
        for writer in ['ours', 'restic'] if LONG else ['ours']:
            with self.subTest(writer):
                if self.repository.exists():
                    shutil.rmtree(self.repository)
                self.round = 0
                self.make(5, writer)
                before = sum(self.files('data').values())
                result = self.forget('last=2')
                self.assertEqual((result['kept'], result['removed']), (2, 3))
                result = self.prune('--unused', '0')
                self.assertGreater(result['packs_repacked'], 0)
                self.assertGreater(result['packs_removed'], result['packs_repacked'])
                self.assertEqual(sum(self.files('data').values()),
                                 before - result['bytes_removed'] + result['bytes_written'])
                self.assertEqual(self.files('locks'), {})
                self.assert_clean()
                self.assertEqual(len(self.check_whole()), 2)
                self.change()
                self.backup('restic' if writer == 'ours' else 'ours')
                self.restic('forget', '--keep-last', '2', '--prune', '--max-unused', '0')
                self.check_whole()
                self.change()
                self.backup(writer)
                self.forget('last=1')
                self.prune('--unused', '0')
                self.assertEqual(len(self.check_whole()), 1)
                self.assert_clean()

    @long_only
    def test_made_by_restic(self):
        """Its repositories, also those without compression, which stay so."""
        for version in ['1', '2']:
            self.restic('init', '--repository-version', version)
            self.make_restic_rounds()
            self.forget('last=1')
            self.assertGreater(self.prune('--unused', '0')['packs_repacked'], 0)
            self.check_whole()
            self.assert_clean()
            shutil.rmtree(self.repository)

    def make_restic_rounds(self):
        """Three snapshots of restic's."""
        for _ in range(3):
            self.change()
            self.backup('restic')

    def test_limits(self):
        """Repacking ends where enough is used, and where enough was written."""
        self.make(3)
        self.forget('last=2')
        before = self.files()
        whole = self.prune('--dry-run', '--unused', '0')
        self.assertEqual(self.files(), before)
        none = self.prune('--dry-run', '--unused', '100')
        self.assertEqual(none['packs_repacked'], 0)
        self.assertGreater(none['bytes_kept_unused'], 0)
        some = self.prune('--dry-run', '--unused', '0', '--repack', str(whole['bytes_repacked'] - 1))
        self.assertLess(some['packs_repacked'], whole['packs_repacked'])
        self.assertLess(some['bytes_repacked'], whole['bytes_repacked'])
        self.assertEqual(self.prune('--unused', '0', '--repack', '0')['packs_repacked'], 0)
        kept = self.prune('--unused', '20')
        self.assertLessEqual(kept['bytes_kept_unused'], kept['bytes_kept'] / 4)
        self.check_whole()
        again = self.prune('--unused', '20')
        self.assertEqual((again['packs_removed'], again['indexes_written'], again['indexes_removed']),
                         (0, 0, 0))

    @long_only
    def test_small_indexes(self):
        """Many small index files become one."""
        self.make(10)
        self.assertGreater(len(self.files('index')), 8)
        result = self.prune()
        self.assertEqual((result['packs_removed'], result['indexes_written']), (0, 1))
        self.assertEqual(len(self.files('index')), 1)
        self.check_whole()


class Changes(Prune):
    """What goes wrong, and what others do, while it runs."""

    def test_listing_fails(self):
        """At the beginning, and just before each removal."""
        self.make(3)
        self.forget('last=1')
        before = self.files()
        for folder in LISTED:
            os.rename(self.repository / folder, self.folder / 'away')
            os.symlink('nowhere', self.repository / folder)
            self.prune('--unused', '0', code='STORAGE_LINK')
            os.unlink(self.repository / folder)
            os.rename(self.folder / 'away', self.repository / folder)
            self.assertEqual(self.files(), before, folder)
        # What is there when the removal begins stays, when a listing fails.
        for phase, folder in [('write-index', 'snapshots'), ('remove-indexes', 'snapshots'),
                              ('remove-indexes', 'index'), ('remove-indexes', 'locks')]:
            away = self.folder / 'away'
            hook = f'cd {self.repository} && mv {folder} {away} && ln -s nowhere {folder}'
            self.prune('--unused', '0', '--hook', phase, hook, code='STORAGE_LINK')
            os.unlink(self.repository / folder)
            os.rename(away, self.repository / folder)
            shutil.rmtree(self.repository / 'locks', ignore_errors=True)
            after = self.files()
            self.assertEqual({k: after.get(k) for k in before}, before, (phase, folder))
        self.check_whole()
        self.prune('--unused', '0')
        self.check_whole()
        self.assert_clean()

    @long_only
    def test_listing_fails_before_packs(self):
        """Then the new indexes are alone, and all packs are there."""
        self.make(3)
        self.forget('last=1')
        before = self.files('data')
        away = self.folder / 'away'
        hook = f'cd {self.repository} && mv snapshots {away} && ln -s nowhere snapshots'
        self.prune('--unused', '0', '--hook', 'remove-packs', hook, code='STORAGE_LINK')
        os.unlink(self.repository / 'snapshots')
        os.rename(away, self.repository / 'snapshots')
        after = self.files('data')
        self.assertEqual({k: after.get(k) for k in before}, before)
        self.check_whole()
        result = self.prune('--unused', '0')
        self.assertGreater(result['packs_unindexed'], 0)
        self.check_whole()
        self.assert_clean()

    def other_writer(self, phase, code='REPOSITORY_CHANGED'):
        """A snapshot that needs what is about to go, by a writer that did not see the lock."""
        script = self.folder / 'other'
        script.write_text('#!/bin/sh\nset -e\n'
                          f'cd {self.repository}\nmv locks {self.folder}/locks-away\nmkdir locks\n'
                          f'restic -q backup --host other {self.folder}/older\n'
                          f'rm -rf locks\nmv {self.folder}/locks-away locks\n')
        script.chmod(0o700)
        self.prune('--unused', '0', '--hook', phase, script, code=code)

    def test_snapshot_added(self):
        """One that another writer makes between any two phases survives."""
        for phase in ['repack', 'write-index', 'remove-indexes', 'remove-packs'][0 if LONG else 3:]:
            with self.subTest(phase):
                if self.repository.exists():
                    shutil.rmtree(self.repository)
                    shutil.rmtree(self.folder / 'older')
                self.round = 0
                self.init()
                self.change()
                self.backup('restic')
                shutil.copytree(self.source, self.folder / 'older')
                self.change()
                self.backup('restic')
                self.forget('last=1')
                kept = self.snapshots()
                self.other_writer(phase)
                new = [s for s in self.snapshots() if s not in kept]
                self.assertEqual(len(new), 1)
                # Before the indexes went it found all blobs there, afterwards it stored them anew.
                self.restic('check', '--read-data')
                target = self.folder / 'restored'
                self.restic('restore', new[0], '--target', str(target))
                inside = target / str(self.folder / 'older').lstrip('/')
                self.assertEqual(self.source_content(inside), self.source_content(self.folder / 'older'))
                shutil.rmtree(target)
                self.prune('--unused', '0')
                self.restic('check', '--read-data')
                self.assert_clean()

    def test_index_added(self):
        """A backup that is at work, and did not see the lock: what its index names stays."""
        self.make(1)
        before = self.files('index', 'snapshots')
        self.change()
        self.backup()
        index, snapshot = sorted(set(self.files('index', 'snapshots')) - set(before))
        for name in [index, snapshot]:
            os.rename(self.repository / name, self.folder / name.partition('/')[0])
        packs = self.files('data')
        for phase in ['repack', 'remove-packs']:
            hook = f'mv {self.folder}/index {self.repository / index}'
            self.prune('--unused', '0', '--hook', phase, hook, code='REPOSITORY_CHANGED')
            self.assertEqual(self.files('data'), packs)
            os.rename(self.repository / index, self.folder / 'index')
        os.rename(self.folder / 'index', self.repository / index)
        os.rename(self.folder / 'snapshots', self.repository / snapshot)
        self.assertEqual(len(self.check_whole()), 2)

    def test_stale_listing(self):
        """A snapshot that is listed late: waited for, or noticed before anything is removed."""
        self.make(3)
        newest = self.snapshots()[-1]
        path = next(p for p in (self.repository / 'snapshots').iterdir() if p.name.startswith(newest))
        before = self.files()
        for phase in ['repack', 'remove-indexes', 'remove-packs'][0 if LONG else 2:]:
            os.rename(path, self.folder / 'late')
            self.prune('--unused', '0', '--hook', phase, f'mv {self.folder}/late {path}',
                       code='REPOSITORY_CHANGED')
            self.assertEqual(self.check_whole()[-1], newest)
        after = self.files('data', 'snapshots')
        self.assertEqual({k: after.get(k) for k in self.files('snapshots')}, self.files('snapshots'))
        self.assertLessEqual({k for k in before if k.startswith('data')}, set(after))
        # With the delay of the listing known it is there in time.
        os.rename(path, self.folder / 'late')
        with subprocess.Popen(['/bin/sh', '-c', f'sleep 0.3; mv {self.folder}/late {path}']) as late:
            self.prune('--unused', '0', '--delay', '2000')
            self.assertEqual(late.wait(), 0)
        self.assertEqual(len(self.check_whole()), 3)

    def test_lock_stolen(self):
        """Nothing is removed when the lock is gone, even where another one has come."""
        self.make(3)
        self.forget('last=1')
        before = self.files()
        for phase in ['repack', 'write-index', 'remove-indexes'] if LONG else ['remove-indexes']:
            hook = f'rm {self.repository}/locks/*'
            self.prune('--unused', '0', '--hook', phase, hook, code='LOCK_LOST')
            after = self.files()
            self.assertEqual({k: after.get(k) for k in before}, before, phase)
        self.prune('--unused', '0', '--hook', 'remove-packs', f'rm {self.repository}/locks/*',
                   code='LOCK_LOST')
        after = self.files('data')
        self.assertEqual({k: after.get(k) for k in before if k.startswith('data')},
                         {k: v for k, v in before.items() if k.startswith('data')})
        self.check_whole()
        self.prune('--unused', '0')
        self.check_whole()
        self.assert_clean()

    def test_lock_refreshed(self):
        """While it works; when that was not possible for too long nothing is removed, though it is again."""
        self.make(3)
        self.forget('last=1')
        before = self.files()
        locks = self.repository / 'locks'
        self.addCleanup(subprocess.run, ['chattr', '-R', '-i', self.repository], check=False, capture_output=True)
        for phase in ['repack', 'write-index', 'remove-indexes'] if LONG else ['remove-indexes']:
            hook = f'chattr +i {locks} && sleep 1 && chattr -i {locks}'
            self.prune('--unused', '0', '--lock-times', '10', '10', '500', '--hook', phase, hook, code='LOCK_LOST')
            after = self.files()
            self.assertEqual({k: after.get(k) for k in before}, before, phase)
            shutil.rmtree(locks, ignore_errors=True)  # the older one of two
        hook = f'a=$(ls {locks}); until b=$(ls {locks}); test -n "$b" && test "$a" != "$b"; do sleep 0.01; done'
        self.prune('--unused', '0', '--lock-times', '50', '50', '60000', '--hook', 'remove-indexes', hook)
        self.assertEqual(self.files('locks'), {})
        self.check_whole()
        self.assert_clean()

    def test_locked(self):
        """Anybody's lock keeps both away; a dry run needs none."""
        self.make(2)
        blocker = subprocess.Popen(['restic', 'backup', '--stdin'], env=self.environment,
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(blocker.wait)
        self.addCleanup(blocker.stdin.close)
        while not self.files('locks'):
            self.assertIsNone(blocker.poll())
            time.sleep(0.05)
        before = self.files('snapshots')
        self.prune(code='REPOSITORY_LOCKED')
        self.forget('last=1', code='REPOSITORY_LOCKED')
        self.assertEqual(self.prune('--dry-run')['snapshots'], 2)
        self.assertEqual(self.forget('last=1', options=['--dry-run'])['kept'], 1)
        self.assertEqual(self.files('snapshots'), before)

    def test_damage(self):
        """What a snapshot needs and is not there, or not what it was, ends it before anything changed."""
        self.make(3)
        self.forget('last=2')
        needed = self.prune('--dry-run', '--unused', '0')
        self.assertGreater(needed['packs_removed'], 0)
        found = set()
        for name in sorted(self.files('data')):
            path = self.repository / name
            if not path.exists(): # a prune before has removed it
                continue
            os.rename(path, self.folder / 'away')
            before = self.files()
            done = subprocess.run([TOOLS / 'prune-tool', self.repository, 'prune'], env=self.environment,
                                  capture_output=True, check=False)
            os.rename(self.folder / 'away', path)
            if done.returncode == 0:  # nothing of it was needed
                self.fail_if_needed(name)
                continue
            found.add(done.stderr.decode().rpartition('[')[2].partition(']')[0])
            self.assertEqual({k: self.files().get(k) for k in before}, before)
        self.assertLessEqual(found, {'PACK_MISSING', 'PACK_UNREADABLE'})
        self.assertIn('PACK_MISSING', found)
        self.check_whole()

    def fail_if_needed(self, name):
        """Stock restic is content without that pack."""
        path = self.repository / name
        os.rename(path, self.folder / 'away')
        self.restic('check')
        os.rename(self.folder / 'away', path)

    def test_flipped_bits(self):
        """A blob that would be repacked and is damaged stays where it is, and all else as well."""
        self.make(3)
        self.forget('last=1')
        before = self.files()
        for name in before:
            if name.startswith('data'):
                path = self.repository / name
                path.chmod(0o600)
                data = bytearray(path.read_bytes())
                for place in range(20, len(data), 2000):
                    data[place] ^= 1
                path.write_bytes(data)
        self.prune('--unused', '0', code='REPOSITORY_DAMAGED')
        after = self.files()
        self.assertEqual({k: after.get(k) for k in before}, before)

    def test_nothing_left(self):
        """A repository that seems to have no snapshots loses nothing unless that is meant."""
        self.make(2)
        before = self.files('data', 'index')
        for path in (self.repository / 'snapshots').iterdir():
            path.unlink()
        self.prune(code='REPOSITORY_EMPTY')
        self.assertEqual(self.files('data', 'index'), before)
        self.prune('--empty')
        self.assertEqual(self.files('data'), {})
        self.change()
        self.backup()
        self.check_whole()

    def test_retained(self):
        """What the storage does not let go is counted, and the repository stays whole."""
        self.make(3)
        for folder in ['data', 'index'] if LONG else ['data']:
            self.forget('last=1')
            kept = [self.repository / n for n in self.files(folder)]
            for path in kept:
                repositories.run('chattr', '+i', path)
            try:
                result = self.prune('--unused', '0')
            finally:
                for path in kept:
                    repositories.run('chattr', '-i', path)
            self.assertTrue(result['refused'])
            self.assertGreater(result['packs_refused'], 0)
            self.assertGreater(result['bytes_refused'], 0)
            self.assertEqual(result['indexes_refused'] > 0, folder == 'index')
            self.assertEqual(result['packs_removed'] == 0, folder == 'data')
            self.check_whole()
            self.change()
            self.backup()
        self.forget('last=1')
        self.prune('--unused', '0')
        self.check_whole()
        self.assert_clean()


class Ended(Prune):
    """Runs that do not come to their end."""

    def test_cancelled(self):
        """In each phase; the next one uses or removes what is left."""
        self.make(3)
        self.forget('last=1')
        for phase in ['mark', 'repack', 'write-index', 'remove-indexes', 'remove-packs'][0 if LONG else 2:]:
            self.prune('--unused', '0', '--cancel', phase, code='CANCELLED')
            if LONG or phase == 'remove-packs':
                self.check_whole()
        self.prune('--unused', '0')
        self.check_whole()
        self.assert_clean()

    def test_calls_fail(self):
        """From some call on, or now and then: every snapshot stays whole, and the next run finishes."""
        self.make(3)
        self.forget('last=2')
        pristine = self.folder / 'pristine'
        shutil.copytree(self.repository, pristine)
        for calls, moments in [('unlinkat', ['3', '4+', '6+2']), ('linkat', ['2']),
                               ('getdents64', ['20+7', '9+', '30+']), ('fdatasync', ['2']),
                               ('pread64', ['5', '9+', '3+5'])][:None if LONG else 1]:
            for when in moments if LONG else moments[:1]:
                with self.subTest((calls, when)):
                    shutil.rmtree(self.repository)
                    shutil.copytree(pristine, self.repository)
                    prefix = ['strace', '-f', '-qq', '-o', self.folder / 'trace', '-e', f'trace={calls}',
                              '-e', f'inject={calls}:error=EIO:when={when}']
                    command = [*prefix, TOOLS / 'prune-tool', '--unused', '0', self.repository, 'prune']
                    done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
                    self.assertIn(b'INJECTED', (self.folder / 'trace').read_bytes())
                    self.assertIn(done.returncode, (0, 2), done.stderr)
                    self.restic('unlock')
                    self.assertEqual(len(self.check_whole()), 2)
                    self.prune('--unused', '0')
                    self.assertEqual(len(self.check_whole()), 2)
                    self.assert_clean()

    def killed(self, limit, *arguments):
        """Starts the tool and kills it within that time; gives whether it had ended before."""
        with subprocess.Popen([TOOLS / 'prune-tool', *arguments], env=self.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tool:
            try:
                tool.wait(random.uniform(0, limit))
                return True
            except subprocess.TimeoutExpired:
                tool.kill()
                return False

    def test_killed(self):
        """At random moments: every snapshot is there, and the next run is as good as any."""
        self.make(4)
        pristine = self.folder / 'pristine'
        self.forget('last=2', options=['--dry-run'])
        shutil.copytree(self.repository, pristine)
        start = time.monotonic()
        self.forget('last=2')
        forgotten = time.monotonic() - start
        self.prune('--unused', '0')
        whole = time.monotonic() - start - forgotten
        for number in range(KILLS):
            shutil.rmtree(self.repository)
            shutil.copytree(pristine, self.repository)
            if number % 4 == 0:
                self.killed(forgotten, self.repository, 'forget', 'last=2')
                self.restic('unlock')
                self.assertGreaterEqual(len(self.check_whole()), 2)
                continue
            self.forget('last=2')
            self.killed(whole, '--unused', '0', self.repository, 'prune')
            self.restic('unlock')
            self.assertEqual(len(self.check_whole()), 2)
            self.prune('--unused', '0')
            self.assertEqual(len(self.check_whole()), 2)
            self.assert_clean()


class Forget(Prune):
    """The removal of snapshots."""

    def test_groups(self):
        """Groups, filters and tags that keep, beside restic."""
        self.init()
        (self.source / 'file').write_text('content')
        (self.source / 'other').write_text('content')
        for host, paths, tags in [
                ('a', 'file', ''), ('a', 'file', 'x'), ('a', 'file', 'y,x'), ('a', 'file', 'x,y'),
                ('a', 'other file', ''), ('a', 'file other', ''), ('a', 'file other', 'x,y'), ('a', 'file', ''),
                ('b', 'file', ''), ('b', 'file', 'y'), ('b', 'other file', 'x'), ('b', 'file other', 'x')]:
            self.restic('backup', '--host', host, '--tag', tags, '--force', *paths.split(), cwd=self.source)
        full = str(self.source / 'other')
        for ours, stock in [
                ([], []), (['--group', 'none'], ['--group-by', '']), (['--group', 'host'], ['--group-by', 'host']),
                (['--group', 'host,paths,tags'], ['--group-by', 'host,paths,tags']),
                (['--host', 'a', '--group', 'tags'], ['--host', 'a', '--group-by', 'tags']),
                (['--tag', 'x', '--tag', 'y'], ['--tag', 'x,y']), (['--path', full], ['--path', full]),
                (['--keep-tag', 'y'], ['--keep-tag', 'y'])]:
            groups = self.restic_json('forget', '--dry-run', '--no-lock', '--json', '--keep-last', '1', *stock)
            kept = {s['id'] for g in groups for s in g['keep'] or []}
            gone = {s['id'] for g in groups for s in g['remove'] or []}
            result = self.forget('last=1', options=['--dry-run', *ours])
            self.assertEqual({i['id'] for i in result['items'] if i['reasons']}, kept, ours)
            self.assertEqual({i['id'] for i in result['items'] if not i['reasons']}, gone, ours)
        result = self.forget('last=1', options=['--host', 'a'])
        self.assertEqual(result['removed'], sum(not i['reasons'] for i in result['items']))
        left = {s['id'] for s in self.restic_json('snapshots', '--json')}
        for item in result['items']:
            self.assertEqual(item['id'] in left, item['reasons'] != 0)
            self.assertNotEqual(item['removed'], item['reasons'] != 0)
        self.restic('check')

    def test_refuses(self):
        """A snapshot that cannot be read, or a listing that fails, and all stay."""
        self.make(3)
        path = next((self.repository / 'snapshots').iterdir())
        data = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        before = self.files('snapshots')
        self.forget('last=1', code='REPOSITORY_DAMAGED')
        self.assertEqual(self.files('snapshots'), before)
        path.write_bytes(data)
        os.rename(self.repository / 'snapshots', self.folder / 'away')
        os.symlink('nowhere', self.repository / 'snapshots')
        self.forget('last=1', code='STORAGE_LINK')
        os.unlink(self.repository / 'snapshots')
        os.rename(self.folder / 'away', self.repository / 'snapshots')
        self.assertEqual(len(self.check_whole()), 3)
        # Nobody writes down a rule for nothing: without one all stay.
        self.assertEqual(self.forget()['removed'], 0)


if __name__ == '__main__':
    unittest.main()
