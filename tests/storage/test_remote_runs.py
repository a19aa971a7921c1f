#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backups and restores by the real services to real storage servers, targets made with the client."""

import json
import os
import pathlib
import sqlite3
import tempfile
import unittest

import backups
import remotes
import azurite
import servers
import trees
from suite import Suite


class RemoteRuns(remotes.RemoteCase):
    """One suite for all."""

    @classmethod
    def setUpClass(cls):
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix='backupx-remote-'))
        cls.addClassCleanup(backups.remove_tree, cls.shared)
        cls.suite = Suite()
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()

    def volumes(self, run):
        """The names of a run's volumes of data, as the master has them."""
        with sqlite3.connect(f'file:{self.suite.master_state}/backupx.db?mode=ro', uri=True) as database:
            objects, = database.execute('SELECT objects FROM runs WHERE id = ?', (run, )).fetchone()
        database.close()
        return [o['name'] for o in json.loads(objects) if o['name'].startswith('data.')]

    def check_round(self, name, target, root, secret, volumes=('data.tar.zst', ), **task):
        """Test, backup, restore; the secret is nowhere. root: where the server keeps files, or None."""
        number = self.create_target(self.suite, name, target)
        test = self.suite.client.post(f'targets/{number}/test', {})
        self.assertTrue(test['ok'], test)
        source = self.path('source')
        os.mkdir(source)
        trees.make_small(source)
        trees.write(source + '/large', os.urandom(9 << 20))
        run = self.suite.backup(self.suite.make_task([source], [number], name=name, **task))
        self.assertEqual(run['state'], 'succeeded', f'{run}\n{self.suite.logs(run["id"])}')
        self.assertEqual(self.volumes(run['id']), list(volumes))
        if root:
            self.assertEqual(len([p for p in self.tree(root) if p.endswith('data.tar.zst')]), 1)
            self.assertEqual([p for p in self.tree(root) if remotes.TEMP in p], [])
        back = self.path('back')
        os.mkdir(back)
        restored = self.suite.restore(run['id'], back)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.assert_same(source, back + source)
        self.check_repository(name, number, source)
        for path in pathlib.Path(self.suite.folder).rglob('*'):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(secret.encode(), path.read_bytes(), path)

    def check_repository(self, name, number, source):
        """The same into a repository there, twice; the second time nothing is sent."""
        os.unlink(source + '/documents/sparse')  # the format does not hold where holes were
        task = self.suite.make_task([source], [number], name=name + '-repository', format='repository')
        for new in True, False:
            run = self.suite.backup(task)
            self.assertEqual(run['state'], 'succeeded', f'{run}\n{self.suite.logs(run["id"])}')
            self.assertEqual(run['bytes_new'] > 1 << 20, new)
        back = self.path('back-repository')
        os.mkdir(back)
        restored = self.suite.restore(run['id'], back)
        self.assertEqual(restored['state'], 'succeeded', self.suite.logs(restored['id']))
        self.assert_same(source, back + source)

    def test_sftp(self):
        self.needs('sshd', 'ssh-keygen')
        with servers.Sshd(self.path('sshd')) as server:
            self.check_round('sftp', server.target({'password': servers.PASSWORD}), server.data + '/backups',
                             servers.PASSWORD)

    def test_webdav(self):
        self.needs('apache2')
        with servers.Apache(self.path('apache'), tls=True) as server:
            target = server.target(ca_cert=server.path('certificate'))
            self.check_round('webdav', target, server.data + '/back ups', servers.PASSWORD)

    def test_ftp(self):
        self.needs('proftpd')
        with servers.Proftpd(self.path('ftp'), tls='explicit') as server:
            self.check_round('ftp', server.target(), server.data + '/back ups', servers.PASSWORD)

    def test_azure(self):
        """Cut into volumes of 8 MiB, and sealed: one age file."""
        azurite.require()
        with azurite.Azurite(self.path('azurite')) as server:
            self.check_round('azure', server.target(volume_size=8), None, azurite.KEY,
                             volumes=('data.tar.zst.age', 'data.tar.zst.age.001'), encryption='sealed')

    def test_sftp_of_another_key(self):
        """Refused, and the failure says what to do."""
        self.needs('sshd', 'ssh-keygen')
        with servers.Sshd(self.path('sshd')) as server:
            number = self.create_target(self.suite, 'another', server.target(host_key='SHA256:' + 'A' * 43))
            test = self.suite.client.post(f'targets/{number}/test', {})
            self.assertFalse(test['ok'])
            self.assertEqual(test['error']['code'], 'HOST_KEY_MISMATCH')
            self.assertIn(server.fingerprint(), test['error']['message'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
