#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Backint for SAP HANA with each kind of storage over the network: a round of backup, inquiry, restore and removal
against a real server. The kinds themselves have tests of their own (tests/storage).

BACKUPX_TEST_LONG=1, as the servers take their time to start."""

import json
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'storage'), os.path.join(HERE, '..', 'lib')]

import azurite  # noqa: E402 pylint: disable=wrong-import-position
import remotes  # noqa: E402 pylint: disable=wrong-import-position
import servers  # noqa: E402 pylint: disable=wrong-import-position
from hana import Hana, Piece, quote  # noqa: E402 pylint: disable=wrong-import-position

PROGRAM = os.path.join(os.environ['BACKUPX_BUILD'], 'agent/backupx-backint')
LONG = os.environ.get('BACKUPX_TEST_LONG') == '1'
STREAMS = 8
MEMORY_MAX = 128 << 20


@unittest.skipUnless(LONG, 'long rounds: the servers take their time to start')
class Storages(remotes.RemoteCase):
    """A server for each."""

    def make_hana(self, target):
        """A database whose Backint has this target."""
        servers.write(self.path('storage.json'), json.dumps(target['config']), 0o600)
        servers.write(self.path('secrets.json'), json.dumps(target['secrets']), 0o600)
        servers.write(self.path('param'), f'''#STORAGE_TYPE = {target["type"]}
#STORAGE_CONFIG = {self.path('storage.json')}
#STORAGE_SECRETS = {self.path('secrets.json')}
#KEY_PREFIX = hana/HDB
#PARALLEL_FACTOR = {STREAMS}
#COMPRESSION_LEVEL = 1
''', 0o600)
        os.mkdir(self.path('pipes'))
        return Hana([PROGRAM], self.path('param'), self.path('pipes'))

    def check_round(self, target, memory=MEMORY_MAX):
        """There and back, and gone."""
        hana = self.make_hana(target)
        sizes = [0, 1, 4096, 100000, (12 << 20) + 1, 9 << 20, 1 << 20, 65536, 3 << 20, 2 << 20, 12345, 0]
        pieces = [Piece(hana.pipe(f'COMPLETE DATA "{i}" %'), size, i) for i, size in enumerate(sizes)]
        self.assertEqual(hana.call('inquire', ['#NULL']).of('#NOTFOUND'), [[]])
        ebids = hana.back_up(pieces, STREAMS)
        asked = [f'#EBID {quote(ebids[p.path])} {quote(p.path)}' for p in pieces]
        found = [[ebids[p.path], p.path] for p in pieces]
        self.assertEqual(hana.call('inquire', asked).of('#BACKUP'), found)
        self.assertEqual(sorted(hana.call('inquire', ['#NULL']).of('#BACKUP')), sorted(found))
        for piece, result in zip(pieces, hana.restore([(ebids[p.path], p.path) for p in pieces])):
            self.assertEqual(result, (piece.size, piece.digest()), piece.path)
        self.assertLess(hana.memory, memory)
        self.assertEqual(len(hana.call('delete', asked).of('#DELETED')), len(pieces))
        self.assertEqual(len(hana.call('delete', asked).of('#NOTFOUND')), len(pieces))
        self.assertEqual(hana.call('inquire', ['#NULL']).of('#NOTFOUND'), [[]])

    def test_sftp(self):
        self.needs('sshd', 'ssh-keygen')
        with servers.Sshd(self.path('sshd')) as server:
            self.check_round(server.target())
            self.assertEqual(self.tree(server.data), [])

    def test_webdav(self):
        self.needs('apache2')
        with servers.Apache(self.path('apache'), tls=True) as server:
            self.check_round(server.target(ca_cert=server.path('certificate')))
            self.assertEqual([p for p in self.tree(server.data) if '/hana/' in p], [])

    def test_ftp(self):
        self.needs('proftpd')
        with servers.Proftpd(self.path('ftp'), tls='explicit') as server:
            self.check_round(server.target())
            self.assertEqual(self.tree(server.data), [])

    def test_azure(self):
        azurite.require()
        with azurite.Azurite(self.path('azurite')) as server:
            self.check_round(server.target())

    def test_rclone(self):
        """Encrypted by the rclone of this machine, in a directory."""
        self.needs('rclone')
        self.check_round({'type': 'rclone:crypt', 'config': {'remote': self.path('crypt'), 'path': 'be low'},
                          'secrets': {'password': servers.PASSWORD, 'password2': 'some salt'}})
        self.assertEqual(self.tree(self.path('crypt')), [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
