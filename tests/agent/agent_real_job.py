#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The real agent with real jobs: every kind, the policy of the host, and jobs that outlive their agent."""

import base64
import os
import pathlib
import signal
import subprocess
import time
import unittest

from agent_case import AgentCase

# MiB that a job does not come to the end of before a test ends it.
UNENDING = 400


class RealJobs(AgentCase):
    """Kinds of commands."""

    def setUp(self):
        super().setUp()
        self.source = self.folder / 'source'
        self.source.mkdir()
        for i in range(30):
            (self.source / f'file{i:02}').write_bytes(os.urandom(1000 + 1000 * i))
        (self.source / 'link').symlink_to('file00')

    def run_command(self, kind, spec, timeout=120):
        """Its result."""
        return self.master.finished(self.master.add(kind, spec), timeout)

    def archive(self, result, target):
        """The archive of a backup's result, as restore and browse get it."""
        return {
            'target': target,
            'key': result['result']['targets'][0]['key'],
            'manifest_sha256': result['result']['manifest_sha256'],
            'encrypted': False,
            'copies': [],
        }

    def restore(self, archive, destination, **more):
        """The spec."""
        return {
            'run': 13,
            'source_run': 12,
            'archive': archive,
            'destination': {'path': str(destination)},
            'paths': [],
            'conflict': 'fail',
            **more,
        }

    def test_there_and_back(self):
        """Backup, browse, restore; with a target that fails beside one that works."""
        self.start()
        good, bad = self.target('good', 5), self.target('bad', 6)
        (self.storage / 'bad').rmdir()
        (self.storage / 'bad').write_text('no directory')
        result = self.run_command('backup', self.backup(paths=[self.source], targets=[good, bad]))
        self.assertEqual(result['status'], 'partial')
        states = {t['target_id']: t['state'] for t in result['result']['targets']}
        self.assertEqual(states, {5: 'succeeded', 6: 'failed'})
        self.assertTrue(result['result']['targets'][0]['key'].endswith('-12-1/'))
        archive = self.archive(result, good)
        page = self.run_command(
            'browse', {'archive': archive, 'path': str(self.source), 'limit': 10, 'cursor': ''}
        )
        self.assertEqual(
            [e['name'] for e in page['result']['entries']], [f'file{i:02}' for i in range(10)]
        )
        rest = self.run_command(
            'browse',
            {
                'archive': archive,
                'path': str(self.source),
                'limit': 100,
                'cursor': page['result']['next_cursor'],
            },
        )
        self.assertEqual(len(rest['result']['entries']), 21)
        self.assertIsNone(rest['result']['next_cursor'])
        out = self.folder / 'out'
        result = self.run_command('restore', self.restore(archive, out))
        self.assertEqual(result['status'], 'succeeded', result)
        self.assertEqual(
            subprocess.run(
                ['diff', '-r', '--no-dereference', self.source, f'{out}{self.source}'], check=False
            ).returncode,
            0,
        )
        again = self.run_command('restore', self.restore(archive, out))
        self.assertEqual(again['status'], 'failed')

    def test_no_target(self):
        """Failed, with the reason of the target and what to do."""
        self.start()
        target = {'id': 5, 'name': 'disk', 'type': 'local', 'config': {'path': '/mnt/nowhere'}}
        result = self.run_command('backup', self.backup(paths=[self.source], targets=[target]))
        self.assertEqual(result['status'], 'failed')
        self.assertIn('backupx agent allow-storage /mnt/nowhere', result['error']['message'])

    def test_storage(self):
        """The test of a target: inside, outside, allowed by the policy."""
        self.start()
        inside = self.run_command('test_storage', {'target': self.target()})
        self.assertEqual(inside['status'], 'succeeded', inside)
        self.assertGreater(inside['result']['free_bytes'], 0)
        self.assertEqual(list((self.storage / 'disk').iterdir()), [])
        other = self.folder / 'other'
        other.mkdir()
        target = {'id': 6, 'name': 'other', 'type': 'local', 'config': {'path': str(other)}}
        outside = self.run_command('test_storage', {'target': target})
        self.assertEqual((outside['status'], outside['error']['code']), ('failed', 'POLICY_DENIED'))
        (self.folder / 'policy.yaml').write_text(f'storage:\n  allow: [{other}]\n')
        self.assertEqual(self.run_command('test_storage', {'target': target})['status'], 'succeeded')

    def test_list_dir(self):
        """Pages in the order of bytes; names that are no text."""
        odd = self.folder / 'odd'
        odd.mkdir()
        names = [f'n{i:03}'.encode() for i in range(25)] + [
            b'\xff\xfe',
            b'a\nb',
            'ö'.encode(),
            b'.hidden',
        ]
        for name in names:
            with open(os.fsencode(odd) + b'/' + name, 'wb'):
                pass
        self.start()
        got, cursor = [], ''
        while cursor is not None:
            page = self.run_command('list_dir', {'path': str(odd), 'limit': 7, 'cursor': cursor})
            self.assertEqual(page['status'], 'succeeded', page)
            for entry in page['result']['entries']:
                name = entry['name']
                got.append(base64.b64decode(name['base64']) if isinstance(name, dict) else name.encode())
            cursor = page['result']['next_cursor']
        self.assertEqual(got, sorted(names))
        missing = self.run_command('list_dir', {'path': str(odd / 'x'), 'limit': 7, 'cursor': ''})
        self.assertEqual((missing['status'], missing['error']['code']), ('failed', 'PATH_NOT_FOUND'))
        self.assertIn('No such file', missing['error']['message'])

    def test_self_check(self):
        """What a job could do."""
        self.start()
        result = self.run_command('self_check', {})
        self.assertEqual(result['status'], 'succeeded')
        items = {item['name']: item['state'] for item in result['result']['items']}
        self.assertEqual(items['results'], 'ok')
        self.assertEqual(items['contact'], 'ok')
        self.assertIn('tools', result['result'])

    def test_policy(self):
        """The host's own word, changed while the agent runs; a link is no way around it."""
        policy = self.folder / 'policy.yaml'
        secret = self.source / 'secret'
        secret.mkdir()
        (secret / 'key').write_text('hunter2')
        link = self.folder / 'link'
        link.symlink_to(secret)
        self.start()
        self.assertEqual(
            self.run_command('backup', self.backup(paths=[self.source]))['status'], 'succeeded'
        )
        policy.write_text(
            f'backup:\n  deny: [{secret}]\nlisting:\n  deny: [{secret}]\nrestore:\n  allow: off\n'
        )
        for path in (secret, secret / 'key', link):
            result = self.run_command('backup', self.backup(paths=[path]))
            self.assertEqual(
                (result['status'], result['error']['code']), ('failed', 'POLICY_DENIED'), path
            )
            self.assertIn(f'backup.deny: {secret}', result['error']['message'])
        # Below a source that is allowed: left out, named, and the run is not green.
        result = self.run_command('backup', self.backup(paths=[self.source]))
        self.assertEqual(result['status'], 'partial', result)
        self.assertIn(str(secret), [e['path'] for e in result['result']['errors']])
        for path in (secret, link, f'/proc/self/root{secret}'):
            result = self.run_command('list_dir', {'path': str(path), 'limit': 5, 'cursor': ''})
            self.assertEqual(
                (result['status'], result['error']['code']), ('failed', 'POLICY_DENIED'), path
            )
        archive = {
            'target': self.target(),
            'key': 'a/',
            'manifest_sha256': '0' * 64,
            'encrypted': False,
            'copies': [],
        }
        result = self.run_command('restore', self.restore(archive, self.folder / 'out'))
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'POLICY_DENIED'))
        policy.write_text('backup:\n  dney: [/]\n')
        result = self.run_command('backup', self.backup(paths=[self.source]))
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'POLICY_INVALID'))
        self.assertIn('policy.yaml:2', result['error']['message'])

    def test_restore_policy(self):
        """Only where the host allows it."""
        allowed = self.folder / 'allowed'
        (self.folder / 'policy.yaml').write_text(f'restore:\n  allow: [{allowed}]\n')
        self.start()
        target = self.target()
        archive = self.archive(self.run_command('backup', self.backup(paths=[self.source])), target)
        result = self.run_command('restore', self.restore(archive, self.folder / 'elsewhere'))
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'POLICY_DENIED'))
        self.assertFalse((self.folder / 'elsewhere').exists())
        self.assertEqual(
            self.run_command('restore', self.restore(archive, allowed))['status'], 'succeeded'
        )
        spec = self.restore(archive, allowed)
        spec['destination'] = {'in_place': True}
        spec['conflict'] = 'overwrite'
        result = self.run_command('restore', spec)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'POLICY_DENIED'))


class LongBackups(AgentCase):
    """Backups that take a while: they compress with all their might."""

    def setUp(self):
        super().setUp()
        self.level = 17
        self.source = self.folder / 'source'
        self.source.mkdir()

    def job_pid(self):
        """The PID in the lock of the one job."""
        locks = list(self.results.glob('*.lock'))
        return int(locks[0].read_text() or 0) if locks and locks[0].read_text().strip() else None

    def begin(self, mib=60):
        """A backup that runs; it has so much to read."""
        block = os.urandom(1 << 20)
        for i in range(4):
            with open(self.source / f'file{i}', 'wb') as file:
                for _ in range(mib // 4):
                    file.write(block)
        self.start()
        command = self.master.add('backup', self.backup(paths=[self.source]))
        self.master.wait(lambda: any(p['bytes_read'] for p in command.progress), what='the first bytes')
        return command

    def objects(self):
        """What lies under a final name."""
        return [p for p in (self.storage / 'disk').rglob('*') if p.is_file() and 'manifest' in p.name]

    def test_cancel(self):
        """Ends soon, and nothing is left under a final name."""
        command = self.begin(UNENDING)
        start = time.monotonic()
        command.cancel = True
        result = self.master.finished(command)
        self.assertEqual(result['status'], 'cancelled')
        self.assertLess(time.monotonic() - start, 40)
        self.assertEqual(self.objects(), [])

    def test_terminated(self):
        """SIGTERM to the job is a clean cancel."""
        command = self.begin(UNENDING)
        os.kill(self.job_pid(), signal.SIGTERM)
        self.assertEqual(self.master.finished(command)['status'], 'cancelled')
        self.assertEqual(self.objects(), [])

    def test_killed(self):
        """SIGKILL to the job: failed, and no archive."""
        command = self.begin(UNENDING)
        os.kill(self.job_pid(), signal.SIGKILL)
        result = self.master.finished(command)
        self.assertEqual((result['status'], result['error']['code']), ('failed', 'JOB_KILLED'))
        self.assertEqual(self.objects(), [])

    def test_agent_killed(self):
        """The job goes on, and the next agent delivers what it did."""
        command = self.begin()
        pid = self.job_pid()
        self.kill()
        self.assertTrue(pathlib.Path(f'/proc/{pid}').exists())
        self.start()
        result = self.master.finished(command, 120)
        self.assertEqual((result['status'], result['attempt']), ('succeeded', 1), result)
        self.assertEqual(len(self.objects()), 1)
        self.assertEqual(command.results, 1)
        self.wait_clean()

    def test_hangup(self):
        """Others probe with SIGHUP whether it lives."""
        command = self.begin()
        os.kill(self.job_pid(), signal.SIGHUP)
        self.assertEqual(self.master.finished(command, 120)['status'], 'succeeded')

    def test_no_core(self):
        """Secrets pass through it."""
        command = self.begin()
        pid = self.job_pid()
        limits = pathlib.Path(f'/proc/{pid}/limits').read_text()
        self.assertRegex(limits, r'Max core file size +0 +0')
        self.master.finished(command, 120)


if __name__ == '__main__':
    unittest.main()
