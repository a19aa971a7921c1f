#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The master moves to a machine that never had it: keys that systemd-creds encrypted to the old one, the copy that
the shipped unit makes, and all that hangs on them."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from installed_guest import InstalledGuest, skip_where_impossible  # noqa: E402

skip_where_impossible()

CREDENTIAL = '/etc/credstore.encrypted/backupx.dispatcher-identity'
STORAGE = '/var/lib/backupx-agent/storage'
COPY = '/var/lib/backupx-self-backup/master.tar.zst.age'
SERVICE = 'backupx-self-backup.service'
SLOW = '/run/systemd/system/backupx-api.service.d'


class Machine(InstalledGuest):
    """With a host key of its own: what is encrypted to one machine is not opened by another."""

    def make_root(self):
        super().make_root()
        (self.root / 'var/lib/systemd/credential.secret').unlink(missing_ok=True)

    def identity(self, path=CREDENTIAL, check=True):
        """The key of the master, as this machine decrypts it."""
        done = self.run('systemd-creds', 'decrypt', '--name=dispatcher-identity', path, '-', check=check)
        return done.stdout.strip() if done.returncode == 0 else None


class Recovery(unittest.TestCase):
    """The old machine is gone before the new one is booted."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-recovery-'))
        self.addCleanup(shutil.rmtree, self.folder)
        subprocess.run(['age-keygen', '-o', self.folder / 'key'], check=True, capture_output=True)
        self.recipient = re.search(r'age1\w+', (self.folder / 'key').read_text())[0]

    def take(self, guest, path, name):
        """Copies something out of a guest, owners too."""
        subprocess.run(['cp', '-a', guest.path(path), self.folder / name], check=True)

    def put(self, guest, name, path):
        """And into one."""
        subprocess.run(['cp', '-a', self.folder / name, guest.path(path)], check=True)

    def back_up(self, old):
        """A sealed archive and a snapshot; the runs."""
        old.shell('mkdir /srv/data; echo kept >/srv/data/file; chmod 640 /srv/data/file')
        target = old.make_target('disk')
        runs = {}
        for name, more in (('archive', {'encryption': 'sealed'}), ('repository', {'format': 'repository'})):
            self.task = old.make_task(name, ['/srv/data'], [target], **more)
            runs[name] = old.wait_run(old.start_run(self.task))
            self.assertEqual(runs[name]['state'], 'succeeded', runs[name])
        return runs

    def check_timer(self, old):
        """The unit says what is missing, then seals a copy; its timer is there for whoever enables it."""
        self.assertNotEqual(old.run('systemctl', 'is-enabled', 'backupx-self-backup.timer', check=False).returncode, 0)
        self.assertNotEqual(old.run('systemctl', 'start', SERVICE, check=False).returncode, 0)
        self.assertIn('/etc/backupx/self-backup.recipients', old.journal('-u', SERVICE))
        recipients = pathlib.Path(old.path('/etc/backupx/self-backup.recipients'))
        recipients.write_text(f'# in the safe\n{self.recipient}\n')
        done = old.run('systemctl', 'start', SERVICE, check=False)
        self.assertEqual(done.returncode, 0, old.journal('-u', SERVICE))
        self.assertIn('No recovery kit was written yet', old.journal('-u', SERVICE))
        self.assertEqual(old.run('stat', '-c', '%a %U:%G', COPY).stdout.strip(), '600 root:root')
        self.assertEqual(old.run('stat', '-c', '%a', '/var/lib/backupx-self-backup').stdout.strip(), '700')
        self.assertEqual(old.shell('ls /var/lib/backupx').count('copy'), 0)
        old.run('systemctl', 'enable', '--now', 'backupx-self-backup.timer')
        self.assertEqual(old.show('backupx-self-backup.timer', 'ActiveState'), 'active')
        self.assertNotIn(old.show('backupx-self-backup.timer', 'NextElapseUSecRealtime'), ('', '0', 'infinity'))
        old.run('systemctl', 'start', SERVICE)  # over the one of last night

    def check_kit(self, old):
        """It carries the key in the clear, and is known to be there."""
        status = ['backupx', 'recovery-kit', '--check']
        self.assertNotEqual(old.run(*status, check=False).returncode, 0)
        old.run('backupx', 'recovery-kit', '/root/kit')
        self.assertIn(f' {old.identity()} > backupx-master.key', old.shell('cat /root/kit'))
        old.run(*status)
        self.assertFalse(old.get('recovery-kit')['is_old'])

    def leave(self):
        """The first life of the master; (runs, key, token of its API)."""
        with Machine('old') as old:
            old.start_suite()
            runs = self.back_up(old)
            self.check_timer(old)
            self.check_kit(old)
            for path, name in ((COPY, 'copy'), (STORAGE, 'storage'), (CREDENTIAL, 'credential')):
                self.take(old, path, name)
            self.node = old.get('nodes/1')
            return runs, old.identity(), old.token

    def slow_stop(self, guest):
        """Daemons that end after what was told to stop them has returned."""
        guest.shell(f'mkdir -p {SLOW}; printf "[Service]\\nExecStopPost=/bin/sleep 2\\n" >{SLOW}/slow.conf')
        guest.run('systemctl', 'daemon-reload')

    def arrive(self, new):
        """Onto a machine where the master was installed and started, as packages do it."""
        self.put(new, 'copy', '/root/copy')
        self.put(new, 'key', '/root/key')
        self.put(new, 'credential', '/root/credential')
        new.run('systemctl', 'enable', '--now', 'backupx.target', 'backupx-agent.service')
        new.wait(lambda: new.curl('/health')[0] == 200, what='an answer of the API')
        self.assertIsNone(new.identity('/root/credential', check=False))
        restore = ['backupx', 'self-restore', '--identity', '/root/key', '/root/copy']
        refused = new.run(*restore, check=False)
        self.assertIn('systemctl stop backupx.target', refused.stderr)
        self.assertNotEqual(refused.returncode, 0)
        self.slow_stop(new)
        new.run('systemctl', 'stop', 'backupx.target', 'backupx-agent.service')
        new.run(*restore)
        new.shell(f'rmdir {STORAGE}')
        self.put(new, 'storage', STORAGE)
        new.shell(f'chown -R backupx:backupx {STORAGE}')
        new.run('systemctl', 'start', 'backupx.target', 'backupx-agent.service')

    def test_new_machine(self):
        """People, runs and the agent are as they were; old backups are restored, new ones made."""
        runs, identity, token = self.leave()
        with Machine('new') as new:
            self.arrive(new)
            new.token = token
            self.assertEqual(new.identity(), identity)
            new.wait(lambda: new.curl('/health')[0] == 200, what='an answer of the API')
            new.wait(lambda: new.get('nodes/1')['status'] == 'online', what='the agent being online')
            node = new.get('nodes/1')
            for field in 'public_key', 'archive_recipient':
                self.assertTrue(node[field])
                self.assertEqual(node[field], self.node[field])
            for name, run in runs.items():
                done = new.restore(run['id'], f'/srv/again-{name}')
                self.assertEqual(done['state'], 'succeeded', done)
                self.assertEqual(new.shell(f'stat -c %a /srv/again-{name}/srv/data/file; '
                                           f'cat /srv/again-{name}/srv/data/file'), '640\nkept\n')
            new.shell('mkdir /srv/data; echo more >/srv/data/file')
            run = new.wait_run(new.start_run(self.task))
            self.assertEqual(run['state'], 'succeeded', run)
            self.assertNotIn('Two agents', new.journal('-u', 'backupx-api.service'))
            self.assertEqual(new.show('backupx-self-backup.timer', 'ActiveState'), 'inactive')
            self.assertIn(self.recipient, new.shell('cat /etc/backupx/self-backup.recipients'))


if __name__ == '__main__':
    unittest.main(verbosity=2)
