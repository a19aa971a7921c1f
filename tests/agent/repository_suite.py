#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups into repositories through the real services: two targets from one read, restored by us on another node
and by stock restic; and what a job may not do to a repository."""

import base64
import json
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'lib'), str(ROOT / 'tests' / 'tools')]

import treecmp  # noqa: E402 pylint: disable=wrong-import-position
import trees  # noqa: E402 pylint: disable=wrong-import-position
from client import ApiError  # noqa: E402 pylint: disable=wrong-import-position
from processes import Process  # noqa: E402 pylint: disable=wrong-import-position
from suite import Suite, wait_until  # noqa: E402 pylint: disable=wrong-import-position


class Repositories(unittest.TestCase):
    """One suite with two nodes for all tests."""

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite()
        cls.suite.start()
        cls.addClassCleanup(cls.suite.close)
        made = cls.suite.client.post('nodes', {'name': 'web-1'})
        cls.node = made['id']
        cls.state = state = cls.suite.folder / 'web-1'
        (state / 'results').mkdir(parents=True)
        (state / 'storage').mkdir()
        (state / 'token').write_text(made['token'])
        environment = {**cls.suite.agent_environment(), 'BACKUPX_AGENT_TOKEN_FILE': str(state / 'token'),
                       'BACKUPX_AGENT_STATE_DIR': str(state),
                       'BACKUPX_AGENT_RUNTIME_DIR': str(cls.suite.run / 'web-1')}
        cls.suite.processes['web-1'] = Process('web-1', [cls.suite.program('agent')], cls.suite.run, environment)
        cls.suite.processes['web-1'].start()
        cls.suite.wait_online(cls.node)

    def setUp(self):
        self.name = self.id().rsplit('.', 1)[1].replace('_', '-')
        self.folder = self.suite.folder / self.name
        self.source = self.folder / 'source'
        self.source.mkdir(parents=True)
        trees.make_small(self.source)
        (self.source / 'documents' / 'sparse').unlink()  # the format does not hold where holes were
        if os.geteuid() == 0:
            trees.make_privileged(self.source)
        trees.make_deep(self.source)
        (self.source / 'noise').write_bytes(os.urandom(3 << 20))

    def make_targets(self, storage=None):
        """A local one and one through the relay."""
        path = (storage or self.suite.storage) / self.name
        path.mkdir()
        self.disk = self.suite.make_target(f'{self.name}-disk', path)
        self.relay = self.suite.make_target(f'{self.name}-relay', kind='relay')
        return [self.disk, self.relay]

    def back_up(self, task, state='succeeded'):
        """Runs it; the run."""
        run = self.suite.backup(task)
        self.assertEqual(run['state'], state, f'{run} {self.suite.logs(run["id"])}')
        return run

    def place(self, run, target):
        """The directory of a repository."""
        key = next(t['key'] for t in run['targets'] if t['target_id'] == target)
        config = self.suite.client.get(f'targets/{target}')['config']
        folder = config.get('path') or config.get('directory') or f'{self.suite.master_state}/relay/{target}'
        return pathlib.Path(folder) / key

    def password(self, node, target):
        """As somebody who has lost BackupX."""
        return self.suite.repository_password(target, node)

    def restic(self, repository, password, *arguments):
        """Stock restic, as somebody who has lost BackupX."""
        done = subprocess.run(['restic', '--no-cache', '-r', repository, *arguments], text=True,
                              capture_output=True, check=False,
                              env={**os.environ, 'RESTIC_PASSWORD': password})
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_with_restic(self, run, node, target, snapshots):
        """Sound, with so many snapshots, without locks that stayed, and restored as it was."""
        repository, password = self.place(run, target), self.password(node, target)
        self.assertEqual(list((repository / 'locks').glob('*')), [])
        self.restic(repository, password, 'check', '--read-data')
        found = json.loads(self.restic(repository, password, 'snapshots', '--json'))
        self.assertEqual(len(found), snapshots)
        self.assertIn(next(t['snapshot_id'] for t in run['targets'] if t['target_id'] == target),
                      [s['id'] for s in found])
        to = self.folder / f'restic-{target}'
        shutil.rmtree(to, ignore_errors=True)
        self.restic(repository, password, 'restore', 'latest', '--target', to)
        self.assertEqual(treecmp.differences(self.source, pathlib.Path(f'{to}{self.source}')), [])

    def test_twice(self):
        """Backed up twice to both targets; the second run has little that is new."""
        task = self.suite.make_task([self.source], self.make_targets(self.state / 'storage'), self.name,
                                    format='repository',
                                    node_id=self.node)
        first = self.back_up(task)
        self.assertEqual((first['format'], first['encrypted']), ('repository', True))
        self.assertGreater(first['files_new'], 3)
        self.assertGreater(first['bytes_new'], 3 << 20)
        self.assertEqual(first['files_changed'] + first['files_unchanged'], 0)
        (self.source / 'added').write_text('more')
        second = self.back_up(task)
        self.assertEqual((second['files_new'], second['files_changed']), (1, 0))
        self.assertEqual(second['files_unchanged'], first['files_new'])
        self.assertLess(second['bytes_new'], 1 << 20)
        self.assertEqual(second['bytes_total'], first['bytes_total'] + 4)
        for target in self.disk, self.relay:
            self.check_with_restic(second, self.node, target, 2)

        listed = self.suite.client.get(f'snapshots?task_id={task}')['items']
        self.assertEqual([(s['run_id'], s['target_id']) for s in listed],
                         [(run['id'], target) for run in (second, first) for target in (self.relay, self.disk)])
        shown = json.loads(self.suite.cli('snapshots', '--json', '--task', self.name, '--on-target',
                                          f'{self.name}-disk').stdout)
        self.assertEqual([s['run_id'] for s in shown], [second['id'], first['id']])
        self.check_restores(first, second)

    def check_restores(self, first, second):
        """Elsewhere, some of it, and a look."""
        to = self.folder / 'elsewhere'
        restored = self.suite.restore(second['id'], to, node=1)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.assertEqual(treecmp.differences(self.source, pathlib.Path(f'{to}{self.source}')), [])
        part = self.folder / 'part'
        restored = self.suite.restore(first['id'], part, [self.source / 'noise'], node=self.node)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.assertEqual((self.source / 'noise').read_bytes(),
                         pathlib.Path(f'{part}{self.source}/noise').read_bytes())
        self.check_dumps(second)
        shown = self.suite.client.get(f'runs/{second["id"]}/entries?path={self.source}&limit=2')
        names = [entry['name'] for entry in shown['items']]
        while shown['next_cursor']:
            shown = self.suite.client.get(f'runs/{second["id"]}/entries?path={self.source}&limit=2'
                                          f'&cursor={shown["next_cursor"]}')
            names += [entry['name'] for entry in shown['items']]
        self.assertEqual(names, sorted(os.listdir(self.source), key=os.fsencode))
        with self.assertRaises(ApiError):
            self.suite.client.get(f'runs/{second["id"]}/entries?path=/no/such/place')
        cache = self.state / 'cache'
        self.assertNotEqual(list(cache.glob('*/index/*')), [])
        shutil.rmtree(cache)
        self.suite.client.get(f'runs/{second["id"]}/entries?path={self.source}&limit=2')
        self.assertNotEqual(list(cache.glob('*/index/*')), [])

    def dump(self, run, path):
        """What the client writes to standard output."""
        environment = {**os.environ, 'BACKUPX_SERVER': self.suite.server, 'HOME': str(self.folder),
                       'BACKUPX_TOKEN': self.suite.client.token}
        return subprocess.run([self.suite.program('cli'), 'dump', str(run['id']), str(path)],
                              env=environment, capture_output=True, check=False)

    def check_dumps(self, run):
        """Each file byte for byte, in pieces; none of it in the database."""
        for name in ('noise', 'documents/letter.txt', 'documents/same-letter', 'documents/empty-file',
                     os.fsdecode(b'documents/caf\xe9')):
            path = self.source / name
            done = self.dump(run, path)
            self.assertEqual((done.returncode, done.stderr), (0, b''))
            self.assertEqual(done.stdout, path.read_bytes(), name)
        for path, code in ((self.source, b'is not a file'), (self.source / 'nowhere', b'has no file'),
                           ('relative', b'absolute')):
            done = self.dump(run, path)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, b'')
            self.assertIn(code, done.stderr)
        piece = self.suite.client.get(f'runs/{run["id"]}/content?path={self.source}/noise'
                                      f'&offset={(3 << 20) - 5}&limit=100')
        self.assertEqual(base64.b64decode(piece['content']), (self.source / 'noise').read_bytes()[-5:])
        self.assertEqual(piece['size'], 3 << 20)
        with sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True) as database:
            results = [row[0] for row in
                       database.execute("SELECT result FROM commands WHERE kind = 'read_file'")]
            read = [json.loads(row[0]) for row in
                    database.execute("SELECT detail FROM audit WHERE action = 'run.read'")]
        self.assertGreater(len(results), 2)
        for result in results:
            self.assertNotIn('content', result or '')
        self.assertIn({'path': str(self.source / 'noise')}, read)

    def verify(self, run, **body):
        """Looks at the repositories of a run; the run that did."""
        return self.suite.wait_run(self.suite.client.post(f'runs/{run["id"]}/verify', body)['run_id'])

    def test_verify(self):
        """Whole repositories are called whole; a pack that is gone, and one that is changed, is named."""
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        run = self.back_up(task)
        packs = sorted((self.place(run, self.relay) / 'data').glob('*/*'), key=lambda p: p.stat().st_size)
        for body in ({}, {'share': 1, 'shares': 1}, {'share': 2, 'shares': 3}):
            done = self.verify(run, **body)
            self.assertEqual((done['kind'], done['state']), ('verify', 'succeeded'), done)
            # Of a share anything may be read: names of packs are random.
            self.assertTrue(body.get('shares') != 1 or done['bytes_read'] > 6 << 20, done)
            self.assertTrue(body or done['bytes_read'] == 0, done)
            self.assertEqual(list((self.place(run, self.relay) / 'locks').glob('*')), [])
        for body in ({'share': 2, 'shares': 1}, {'shares': 1}, {'share': 1, 'shares': 1001}, {'data': True}):
            with self.assertRaises(ApiError):
                self.verify(run, **body)
        content = packs[-1].read_bytes()
        packs[-1].chmod(0o600)
        packs[-1].write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
        self.assertEqual(self.verify(run)['state'], 'succeeded')  # sizes are what they were
        done = self.verify(run, share=1, shares=1)
        self.assertEqual((done['state'], done['error']['code']), ('failed', 'REPOSITORY_DAMAGED'), done)
        self.assertIn(f'{self.name}-relay', done['error']['message'])
        self.assertIn(packs[-1].name[:8], self.suite.logs(done['id']))
        packs[-1].unlink()
        done = self.verify(run)
        self.assertEqual((done['state'], done['error']['code']), ('failed', 'REPOSITORY_DAMAGED'), done)
        shown = self.suite.cli('runs', 'verify', run['id'], '--share', '1/2', '--wait', check=False)
        self.assertEqual(shown.returncode, 7, shown.stderr)

    def test_verify_by_schedule(self):
        """Checks that the clock starts read one share after the other, and together all of the data."""
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        run, where = self.back_up(task), f'runs?kind=verify&task_id={task}'
        self.suite.client.put(f'tasks/{task}', {'verify': {'schedule': {'expression': '* * * * * *'}, 'shares': 2}})
        wait_until(lambda: len(self.suite.client.get(f'{where}&state=succeeded')['items']) > 1, what='two checks')
        self.suite.client.put(f'tasks/{task}', {'verify': None})
        wait_until(lambda: not self.suite.client.get(f'{where}&state=open')['items'], what='the end of the checks')
        checks = sorted(self.suite.client.get(f'{where}&state=succeeded')['items'], key=lambda check: check['id'])
        self.assertEqual({(check['origin'], check['source_run_id']) for check in checks}, {('schedule', run['id'])})
        self.assertGreater(sum(check['bytes_read'] for check in checks[:2]), 6 << 20)
        self.assertEqual(self.suite.client.get(f'{where}&state=failed,partial')['items'], [])

    def test_resumed(self):
        """A restore that is started again reads what is not right yet, and nothing else. Of an archive all is read."""
        for form in ('repository', 'archive'):
            task = self.suite.make_task([self.source], self.make_targets() if form == 'repository' else [self.disk],
                                        f'{self.name}-{form}', format=form)
            run, to = self.back_up(task), self.folder / form
            whole = self.suite.restore(run['id'], to)
            there = pathlib.Path(f'{to}{self.source}')
            self.assertEqual(whole['state'], 'succeeded', self.suite.logs(whole['id']))
            self.assertEqual(self.suite.restore(run['id'], to)['state'], 'failed')  # something is in the way
            next(path for path in there.rglob('*') if path.is_file() and path.name != 'noise').unlink()
            inode = (there / 'noise').stat().st_ino
            again = self.suite.restore(run['id'], to, conflict='resume')
            self.assertEqual(again['state'], 'succeeded', self.suite.logs(again['id']))
            self.assertEqual(treecmp.differences(self.source, there), [])
            self.assertEqual((there / 'noise').stat().st_ino == inode, form == 'repository')
            with (there / 'noise').open('ab') as noise:
                noise.write(b'x')
            again = self.suite.restore(run['id'], to, conflict='resume')
            self.assertEqual(again['state'], 'succeeded', self.suite.logs(again['id']))
            self.assertEqual(treecmp.differences(self.source, there), [])

    def listed(self, task, target):
        """The runs whose snapshots are listed, the newest first."""
        items = self.suite.client.get(f'snapshots?task_id={task}&target_id={target}')['items']
        return [item['run_id'] for item in items]

    def prunes(self, task):
        """The runs that remove snapshots of a task, once all of them have ended and none is to come."""
        def ended():
            if self.database('SELECT 1 FROM runs WHERE task_id = ? AND retain = 1', task):
                return None
            runs = self.suite.client.get(f'runs?kind=prune&task_id={task}')['items']
            return runs if runs and all(run['finished_at'] for run in runs) else None
        return wait_until(ended, what='the end of what removes snapshots')

    def database(self, statement, *values):
        """Looks into the master's store, or changes what is there."""
        with sqlite3.connect(f'{self.suite.master_state}/backupx.db', timeout=30) as database:
            return database.execute(statement, values).fetchall()

    def test_retention(self):
        """A task keeps one: the second run's end removes the first snapshot everywhere, and the master knows. Once a
        week the space is given back, too. Stock restic is content, and what it removes is known as well."""
        targets = self.make_targets()
        task = self.suite.make_task([self.source], targets, self.name, format='repository', retention={'last': 1})
        first = self.back_up(task)
        (self.source / 'noise').write_bytes(os.urandom(3 << 20))
        second = self.back_up(task)
        for prune in self.prunes(task):
            self.assertEqual((prune['state'], prune['origin'], prune['node_id']), ('succeeded', 'retention', 1),
                             self.suite.logs(prune['id']))
        for target in targets:
            self.assertEqual(self.listed(task, target), [second['id']])
            self.check_with_restic(second, 1, target, 1)
        first = self.suite.client.get(f'runs/{first["id"]}')
        self.assertEqual([target['state'] for target in first['targets']], ['removed', 'removed'])
        with self.assertRaisesRegex(ApiError, 'removed'):
            self.suite.restore(first['id'], self.folder / 'gone')
        self.check_weekly(task, second)

    def check_weekly(self, task, second):
        """Space is given back where that was not done for a week."""
        self.assertEqual(self.database('SELECT DISTINCT pruned FROM repositories WHERE target_id IN (?, ?)',
                                       self.disk, self.relay), [(0,)])
        self.database('UPDATE repositories SET created = created - ? WHERE target_id = ?', 8 * 86400 * 10 ** 6,
                      self.disk)
        self.suite.cli('tasks', 'edit', self.name, '--keep-last', '2')
        data = self.stored(second, self.disk)
        (self.source / 'noise').write_bytes(os.urandom(3 << 20))
        third = self.back_up(task)
        self.prunes(task)
        self.assertGreater(self.database('SELECT pruned FROM repositories WHERE target_id = ?', self.disk), [(0,)])
        self.assertEqual(self.database('SELECT pruned FROM repositories WHERE target_id = ?', self.relay), [(0,)])
        self.assertLess(self.stored(third, self.disk), data + (1 << 20))  # the first noise went
        self.assertGreater(self.stored(third, self.relay), data + (2 << 20))
        for target in self.disk, self.relay:
            self.check_with_restic(third, 1, target, 2)
        self.check_by_hand(task, third, second)

    def stored(self, run, target):
        """Bytes of packs."""
        return sum(pack.stat().st_size for pack in (self.place(run, target) / 'data').rglob('*') if pack.is_file())

    def check_by_hand(self, task, last, before):
        """Forgetting and pruning that somebody asks for."""
        data = self.stored(last, self.relay)
        password = self.password(1, self.disk)
        gone = next(t['snapshot_id'] for t in before['targets'] if t['target_id'] == self.disk)
        self.restic(self.place(last, self.disk), password, 'forget', gone)
        self.assertEqual(self.listed(task, self.disk), [last['id'], before['id']])
        self.suite.cli('runs', 'forget', last['id'], '--wait')
        self.assertEqual(self.listed(task, self.disk), [last['id']])
        self.assertEqual(self.listed(task, self.relay), [last['id'], before['id']])
        self.suite.cli('tasks', 'edit', self.name, '--keep-all')
        self.assertIsNone(self.suite.client.get(f'tasks/{task}')['retention'])
        done = self.suite.wait_run(self.suite.client.post(f'runs/{last["id"]}/prune', {'space': 'never'})['run_id'])
        self.assertEqual((done['state'], done['error']['code']), ('failed', 'TASK_KEEPS_ALL'), done)
        self.suite.cli('runs', 'prune', last['id'], '--wait')
        self.assertLess(self.stored(last, self.relay), data - (2 << 20))
        for target, snapshots in (self.disk, 1), (self.relay, 2):
            self.check_with_restic(last, 1, target, snapshots)

    def test_turns(self):
        """What removes things waits for a backup of the same node, and begins when that has ended."""
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        first, times = self.back_up(task), self.source.stat()
        (self.source / 'large').write_bytes(os.urandom(40 << 20))
        self.limit_bandwidth(256 << 10)  # minutes, by the relay
        number = self.suite.run_task(task)
        wait_until(lambda: self.suite.client.get(f'runs/{number}')['bytes_read'] > 0, what='the first bytes')
        prune = self.suite.client.post(f'runs/{first["id"]}/prune')['run_id']
        wait_until(lambda: self.suite.client.get(f'runs/{prune}')['waiting_for'], what='the prune to wait')
        self.suite.client.post(f'runs/{number}/cancel')
        self.assertEqual(self.suite.wait_run(number)['state'], 'cancelled')
        self.assertEqual(self.suite.wait_run(prune)['state'], 'succeeded', self.suite.logs(prune))
        self.limit_bandwidth(0)
        (self.source / 'large').unlink()
        os.utime(self.source, ns=(times.st_atime_ns, times.st_mtime_ns))
        for target in self.disk, self.relay:
            self.check_with_restic(first, 1, target, 1)
            self.assertRegex(self.restic(self.place(first, target), self.password(1, target), 'prune', '--dry-run',
                                         '--max-unused', '0'), r'total prune: +0 blobs')

    def kill_jobs(self):
        """SIGKILL of all jobs of the agent of node 1."""
        agent = self.suite.processes['agent'].process.pid
        for pid in pathlib.Path(f'/proc/{agent}/task/{agent}/children').read_text().split():
            os.kill(int(pid), signal.SIGKILL)

    def test_killed_prune(self):
        """What removes things is killed while it has locked the repository for itself: the next backup goes on at once,
        and the next prune takes the lock away."""
        (self.source / 'old').write_bytes(os.urandom(3 << 20))
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        self.back_up(task)
        (self.source / 'old').unlink()
        last = self.back_up(task)
        gone = [snapshot['id'] for snapshot in json.loads(
            self.restic(self.place(last, self.relay), self.password(1, self.relay), 'snapshots', '--json'))][:1]
        self.restic(self.place(last, self.relay), self.password(1, self.relay), 'forget', *gone)
        self.limit_bandwidth(64 << 10)  # what is still used of a pack of 6 MiB is written anew
        prune = self.suite.client.post(f'runs/{last["id"]}/prune')['run_id']
        locks = self.place(last, self.relay) / 'locks'
        wait_until(lambda: list(locks.iterdir()), what='the lock of the prune')
        self.kill_jobs()
        done = self.suite.wait_run(prune)
        self.assertEqual((done['state'], done['error']['code']), ('failed', 'JOB_KILLED'), self.suite.logs(prune))
        self.limit_bandwidth(0)
        self.assertEqual(len(list(locks.iterdir())), 1)
        last = self.back_up(task)
        self.suite.cli('runs', 'prune', last['id'], '--wait')
        for target, snapshots in (self.disk, 3), (self.relay, 2):
            self.check_with_restic(last, 1, target, snapshots)

    def commands(self, run):
        """The commands of a run, the oldest first: node, state, and the targets that each was given."""
        return [(node, state, {copy['target']['id'] for copy in json.loads(spec)['snapshots']})
                for node, state, spec in self.database(
                    'SELECT node_id, state, spec FROM commands WHERE run_id = ? ORDER BY id', run)]

    def test_relay_of_node(self):
        """What is behind the relay is removed by the master's own node, the rest by the node that wrote it, in one run
        of two commands."""
        targets = self.make_targets(self.state / 'storage')
        task = self.suite.make_task([self.source], targets, self.name, format='repository', node_id=self.node,
                                    retention={'last': 1})
        self.back_up(task)
        self.prunes(task)  # the second backup does not come between its parts
        (self.source / 'noise').write_bytes(os.urandom(3 << 20))
        last = self.back_up(task)
        prune = self.prunes(task)[0]
        self.assertEqual((prune['state'], prune['node_id'], prune['files']), ('succeeded', self.node, 2),
                         self.suite.logs(prune['id']))
        self.assertEqual(self.commands(prune['id']), [(1, 3, {self.relay}), (self.node, 3, {self.disk})])
        for target in targets:
            self.assertEqual(self.listed(task, target), [last['id']])
            self.check_with_restic(last, self.node, target, 1)
        self.check_parts(last)
        self.check_without_local(task, last)

    @unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: takes a minute')
    def test_killed_between_parts(self):
        """Whichever daemon is killed while a prune of two parts goes on: each part is done once, and the run is as good
        as any."""
        targets = self.make_targets(self.state / 'storage')
        task = self.suite.make_task([self.source], targets, self.name, format='repository', node_id=self.node)
        last = self.back_up(task)
        seed = time.time_ns()
        chance = random.Random(seed)
        length = 0
        for number in range(20):
            begun = time.monotonic()
            name = chance.choice(('api', 'scheduler', 'dispatcher', 'dispatcher'))
            pause = chance.uniform(0, 1.1 * length)
            with self.subTest(round=number, seed=seed, name=name, pause=round(pause, 3)):
                prune = self.suite.client.post(f'runs/{last["id"]}/prune')['run_id']
                if number > 0:  # the first one tells how long it takes
                    time.sleep(pause)
                    self.suite.restart(name, kill=True)
                done = self.suite.wait_run(prune)
                self.assertEqual(done['state'], 'succeeded', self.suite.logs(prune))
                self.assertEqual(self.commands(prune), [(1, 3, {self.relay}), (self.node, 3, {self.disk})])
                length = length or time.monotonic() - begun
        for target in targets:
            self.assertEqual(self.listed(task, target), [last['id']])
            self.check_with_restic(last, self.node, target, 1)

    def check_without_local(self, task, last):
        """While the master's own node takes no work, the prune waits, and nobody waits for it."""
        self.suite.client.post('nodes/1/drain')
        try:
            prune = self.suite.client.post(f'runs/{last["id"]}/prune')['run_id']
            wait_until(lambda: "'local'" in (self.suite.client.get(f'runs/{prune}')['waiting_for'] or ''),
                       what='the prune to wait for the master\'s own node')
            self.assertEqual(self.suite.backup(task)['state'], 'succeeded')
        finally:
            self.suite.client.post('nodes/1/undrain')
        self.assertEqual(self.suite.wait_run(prune)['state'], 'succeeded', self.suite.logs(prune))
        self.prunes(task)

    def check_parts(self, last):
        """By hand: a part that fails does not keep the other one from anything, and one that waits does not either. The
        node that wrote gets nothing that opens the relay."""
        data = self.stored(last, self.relay), self.stored(last, self.disk)
        config = self.place(last, self.relay) / 'config'
        shutil.move(config, self.folder / 'config')
        done = self.suite.wait_run(self.suite.client.post(f'runs/{last["id"]}/prune')['run_id'])
        shutil.move(self.folder / 'config', config)
        self.assertEqual(done['state'], 'failed', self.suite.logs(done['id']))
        self.assertIn(f'{self.name}-relay', done['error']['message'])
        self.assertEqual([state for _, state, _ in self.commands(done['id'])], [5, 3])
        self.assertLess(self.stored(last, self.disk), data[1] - (2 << 20))
        self.assertEqual(self.stored(last, self.relay), data[0])
        self.suite.processes['web-1'].stop()
        try:
            prune = self.suite.client.post(f'runs/{last["id"]}/prune')['run_id']
            wait_until(lambda: len(self.commands(prune)) == 2, what='the second part')
            self.assertLess(self.stored(last, self.relay), data[0] - (2 << 20))
            self.assertEqual(self.database('SELECT p.verbs FROM relay_caps p JOIN commands c ON c.id = p.command_id'
                                           ' WHERE c.run_id = ?', prune), [])
            self.suite.client.post(f'runs/{prune}/cancel')
            done = self.suite.wait_run(prune)
            self.assertEqual(done['state'], 'cancelled')
            self.assertGreater(done['bytes_written'], 0)  # what the first part did is told
        finally:
            self.suite.processes['web-1'].start()
            self.suite.wait_online(self.node)

    def test_dump_of_archive(self):
        """Of an archive, sealed or not, with a sparse file and a hard link in it."""
        (self.source / 'holes').write_bytes(b'')
        with (self.source / 'holes').open('r+b') as file:
            file.seek(5 << 20)
            file.write(b'in the middle')
            file.truncate(9 << 20)
        os.link(self.source / 'noise', self.source / 'noise-again')
        for encryption in ('none', 'sealed'):
            target = self.suite.make_target(f'{self.name}-{encryption}', self.suite.storage / encryption)
            run = self.back_up(self.suite.make_task([self.source], [target], f'{self.name}-{encryption}',
                                                    encryption=encryption))
            self.check_dumps(run)
            for name in ('holes', 'noise-again'):
                self.assertEqual(self.dump(run, self.source / name).stdout,
                                 (self.source / name).read_bytes())

    def test_first_runs_at_once(self):
        """Two tasks of a node begin together: one makes the repository, or both do; both are in it."""
        targets = self.make_targets()
        tasks = [self.suite.make_task([self.source], targets, f'{self.name}-{i}', format='repository')
                 for i in range(2)]
        runs = [self.suite.wait_run(run) for run in [self.suite.run_task(task) for task in tasks]]
        for run in runs:
            self.assertEqual(run['state'], 'succeeded', self.suite.logs(run['id']))
        for target in targets:
            self.check_with_restic(runs[0], 1, target, 2)

    def limit_bandwidth(self, limit):
        """Of node 1; 0: none. Its agent hears of it when it starts."""
        self.suite.client.put('nodes/1', {'limits': {'bandwidth': limit or None}})
        self.suite.restart('agent')
        file = self.suite.agent_state / 'limits'
        wait_until(lambda: (json.loads(file.read_text()).get('bandwidth', 0) if file.exists() else 0) == limit,
                   what='the limit')
        self.suite.wait_online()

    def test_cancelled(self):
        """A cancelled run leaves no snapshot and no lock; the next one goes on with what it stored."""
        (self.source / 'large').write_bytes(os.urandom(40 << 20))
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        self.limit_bandwidth(256 << 10)  # minutes, by the relay
        number = self.suite.run_task(task)
        wait_until(lambda: self.suite.client.get(f'runs/{number}')['bytes_read'] > 0, what='the first bytes')
        self.suite.client.post(f'runs/{number}/cancel')
        run = self.suite.wait_run(number)
        self.assertEqual((run['state'], run['format']), ('cancelled', None), self.suite.logs(number))
        self.assertEqual(self.suite.client.get(f'snapshots?task_id={task}')['items'], [])
        self.limit_bandwidth(0)
        run = self.back_up(task)
        for target in self.disk, self.relay:
            self.check_with_restic(run, 1, target, 1)

    def test_with_restic(self):
        """What stock restic does in between is fine: a backup of its own, forget and prune."""
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        first = self.back_up(task)
        repository, password = self.place(first, self.disk), self.password(1, self.disk)
        self.restic(repository, password, 'backup', '--host', 'elsewhere', self.source)
        self.restic(repository, password, 'forget', '--prune', first['targets'][0]['snapshot_id'])
        (self.source / 'added').write_text('more')
        second = self.back_up(task)
        self.check_with_restic(second, 1, self.disk, 2)
        self.check_with_restic(second, 1, self.relay, 2)
        gone = self.suite.restore(first['id'], self.folder / 'gone')
        self.assertEqual(gone['state'], 'succeeded')  # from the relay, where it is still
        self.assertIn('cannot be read', str(self.suite.logs(gone['id'])))

    def test_gone(self):
        """A repository that should be there and is not: no new one is made in its place, and the run is not
        green."""
        task = self.suite.make_task([self.source], self.make_targets(), self.name, format='repository')
        run = self.back_up(task)
        shutil.rmtree(self.place(run, self.disk))
        run = self.back_up(task, 'partial')
        target = next(t for t in run['targets'] if t['target_id'] == self.disk)
        self.assertIn('There is no repository', target['error']['message'])
        self.assertFalse(list((self.suite.storage / self.name).rglob('config')))


if __name__ == '__main__':
    unittest.main(verbosity=2)
