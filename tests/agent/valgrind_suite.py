#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every program of the suite under valgrind, from its start to its end: no use of what was not written, no access
out of bounds, nothing lost. One full story: backups to a disk and through the relay, browsing, restores, a
cancellation. A long round: each program takes seconds to start."""

import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

import trees  # noqa: E402 pylint: disable=wrong-import-position
from suite import DAEMONS, Suite, TlsSuite, wait_until  # noqa: E402 pylint: disable=wrong-import-position

PATIENCE = 600


@unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: valgrind is slow')
@unittest.skipUnless(shutil.which('valgrind'), 'needs valgrind')
@unittest.skipIf('ASAN_OPTIONS' in os.environ, 'the sanitizers look for the same, and do not go together with it')
class Valgrind(unittest.TestCase):
    """One suite for the story; what valgrind says is read at its end."""

    kind = Suite

    def setUp(self):
        self.suite = self.kind()
        self.addCleanup(self.suite.close)
        self.reports = self.suite.folder / 'valgrind'
        self.reports.mkdir()
        self.suite.wrap = {name: self.valgrind(name) for name in (*DAEMONS, 'agent', 'job')}
        self.suite.start()
        self.source = self.suite.folder / 'source'
        self.source.mkdir()
        trees.make_small(self.source)
        (self.source / 'large').write_bytes(os.urandom(3 << 20))

    def valgrind(self, name):
        """How a program is run. What a forked child does between fork and exec is not the program's."""
        return ['valgrind', '--quiet', '--leak-check=full', '--errors-for-leak-kinds=definite',
                '--show-leak-kinds=definite', '--error-exitcode=99', '--child-silent-after-fork=yes',
                '--num-callers=25', f'--log-file={self.reports}/{name}-%p']

    def wait(self, run, *states):
        """A run in one of the states."""
        return self.suite.wait_run(run, states, timeout=PATIENCE)

    def story(self):
        """Backups, browsing, restores, a cancellation, a restart."""
        suite, client = self.suite, self.suite.client
        targets = [suite.make_target('disk'), suite.make_target('relay', kind='relay')]
        task = suite.make_task([self.source], targets, 'story', encryption='sealed')
        run = self.wait(suite.run_task(task), 'succeeded', 'failed', 'partial')
        self.assertEqual(run['state'], 'succeeded', run)
        self.assertTrue(client.get(f'runs/{run["id"]}/entries?path={self.source}')['items'])
        client.post(f'targets/{targets[0]}/test')
        for paths, name in (((), 'all'), ((self.source / 'large',), 'one')):
            where = suite.folder / name
            where.mkdir()
            again = suite.restore(run['id'], where, paths, timeout=PATIENCE)
            self.assertEqual(again['state'], 'succeeded', again)
        self.assertEqual(trees.differences(self.source, pathlib.Path(f'{suite.folder}/all{self.source}')), [])
        (self.source / 'noise').write_bytes(os.urandom(200 << 20))
        run = suite.run_task(task)
        self.wait(run, 'running')
        client.post(f'runs/{run}/cancel')
        self.assertEqual(self.wait(run, 'cancelled', 'succeeded', 'failed')['state'], 'cancelled')
        self.assertIn(run, [item['id'] for item in client.get('runs?limit=20')['items']])
        suite.restart('dispatcher')
        suite.restart('api')
        wait_until(lambda: suite.node()['status'] == 'online', PATIENCE, 'the node online again')

    def test_story(self):
        """Told by programs that valgrind watches, to a clean end of each."""
        self.story()
        self.suite.stop()
        found = sorted(path.name for path in self.reports.iterdir())
        for name in (*DAEMONS, 'agent', 'job'):
            self.assertTrue([entry for entry in found if entry.startswith(name)], found)
        said = [f'{path.name}: {path.read_text(errors="replace")}' for path in self.reports.iterdir()
                if re.search(r'==\d+== \S', path.read_text(errors='replace'))]
        self.assertEqual(said, [], '\n'.join(said))
        print(f'{len(found)} processes', file=sys.stderr)


class ValgrindTls(Valgrind):
    """The same by TLS, with clients that are none of ours in between."""

    kind = TlsSuite

    def rude(self):
        """Whatever may be sent to a server that speaks TLS: nothing, a part of a greeting, something else."""
        hello = b'\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03'
        for data in (b'', hello, hello + os.urandom(244), os.urandom(500), b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'):
            with socket.create_connection(('127.0.0.1', self.suite.port), timeout=PATIENCE) as line:
                line.sendall(data)
                if data.startswith(b'GET'):
                    self.assertIn(b'TLS_REQUIRED', line.recv(4096))

    def story(self):
        """A backup through the relay and its restore; the certificate is read anew; rude clients."""
        suite = self.suite
        self.rude()
        task = suite.make_task([self.source], [suite.make_target('relay', kind='relay')], 'story')
        run = self.wait(suite.run_task(task), 'succeeded', 'failed', 'partial')
        self.assertEqual(run['state'], 'succeeded', run)
        where = suite.folder / 'all'
        where.mkdir()
        again = suite.restore(run['id'], where, (), timeout=PATIENCE)
        self.assertEqual(again['state'], 'succeeded', again)
        suite.processes['api'].process.send_signal(signal.SIGHUP)
        self.rude()
        suite.restart('agent')
        wait_until(lambda: suite.node()['status'] == 'online', PATIENCE, 'the node online again')
        suite.client.post('nodes/1/discover-databases', {'sqlite': [f'{self.source}/*']})


if __name__ == '__main__':
    unittest.main(verbosity=2)
