#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Large pieces go past the page cache; the relay goes on after what may pass."""

import os
import subprocess
import time
import unittest

import backups
import fake_relay
import trees

MIB = 1 << 20


class PastTheCache(backups.Case):
    """Large pieces go to a disk without a copy in the page cache, wherever that works."""

    def run_traced(self, *inject):
        """A backup of 20 MiB; the calls that it made."""
        if not backups.has_strace():
            self.skipTest('needs strace')
        os.mkdir(self.path('source'))
        trees.write(self.path('source') + '/random', os.urandom(20 * MIB))
        log = self.path('calls')
        prefix = ['strace', '-f', '-qq', '-o', log, '-e', 'trace=fcntl,write', *inject]
        self.backup([self.path('source')], prefix=prefix)
        self.assert_same(self.path('source'), self.extract() + self.path('source'))
        with open(log, encoding='utf-8', errors='replace') as file:
            return file.read()

    def on_disk(self):
        """Whether the target is on a file system where it is tried."""
        kind = subprocess.check_output(['stat', '-f', '-c', '%T', self.store], text=True).strip()
        if kind not in ('ext2/ext3', 'xfs', 'btrfs', 'f2fs'):
            self.skipTest(f'{self.store} is on {kind}')

    def test_used(self):
        self.on_disk()
        self.assertRegex(self.run_traced(), r'F_SETFL, [A-Z_|]*O_DIRECT')

    def test_refused(self):
        """A disk of larger blocks refuses the third write: it is made again, and no byte twice."""
        self.on_disk()
        calls = self.run_traced('-e', 'inject=write:error=EINVAL:when=3')
        self.assertRegex(calls, r'write\(\d+, .*, 524288\) += -1 EINVAL .*INJECTED')

    def test_not_for_memory(self):
        """A file system of no disk is not asked."""
        self.store = self.mount_tmpfs('memory', '64M')
        self.assertNotIn('O_DIRECT', self.run_traced())


class Relay(backups.Case):
    """Backups through a relay."""

    def setUp(self):
        super().setUp()
        self.source = self.path('source')
        os.mkdir(self.source)
        trees.write(self.source + '/random', os.urandom(20 * MIB))

    def run_to(self, relay, *, targets=(), state='succeeded', options=(), token=None):
        return self.backup([self.source], targets=targets, state=state,
                           options=['--relay', relay.url, token or relay.token, *options])

    def numbered(self, relay):
        """The relay is target 1; archive-tool numbers them in order."""
        return {key.rpartition('/')[2]: value for key, value in relay.objects.items()}

    def check_whole(self, relay):
        for key, data in relay.objects.items():
            path = os.path.join(self.store, key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            trees.write(path, data)
        self.assert_same(self.source, self.extract() + self.source)

    def test_parts(self):
        with fake_relay.Relay() as relay:
            self.run_to(relay)
            self.assertEqual(len(relay.objects), 3)
            self.check_whole(relay)
            # The manifest is the last one.
            commits = [path for method, path in relay.requests if method == 'POST' and 'commit=' in path]
            self.assertIn('manifest', commits[-1])

    def test_one_that_drops_connections(self):
        def fault(method, path, number):
            return 'drop' if number % 3 == 1 else 'drop after' if number % 5 == 2 else None
        with fake_relay.Relay(fault=fault) as relay:
            self.run_to(relay)
            self.check_whole(relay)

    def test_one_that_is_away_for_a_while(self):
        started = time.monotonic()

        def fault(method, path, number):
            return 'drop' if method == 'PUT' and time.monotonic() < started + 3 else None
        with fake_relay.Relay(fault=fault) as relay:
            self.run_to(relay)
            self.check_whole(relay)

    def test_full(self):
        def fault(method, path, number):
            return 507 if method == 'PUT' and 'part=1' in path else None
        with fake_relay.Relay(fault=fault) as relay:
            result = self.run_to(relay, state='failed')
            self.assertEqual(relay.objects, {})
            self.assertEqual(relay.uploads, {})
            self.assertIn('507', result['message'])

    def test_one_of_two_fails(self):
        with fake_relay.Relay(fault=lambda method, *_: 403 if method == 'PUT' else None) as relay:
            result = self.backup([self.source], targets=[self.store], state='partial',
                                 options=['--relay', relay.url, relay.token])
            self.assertEqual([t['succeeded'] for t in result['targets']], [True, False])
            self.assertEqual(relay.objects, {})
        self.assert_same(self.source, self.extract() + self.source)

    def test_refused(self):
        with fake_relay.Relay() as relay:
            result = self.run_to(relay, state='failed', token='bxr_other')
            self.assertEqual(result['code'], 'RELAY_TOKEN_INVALID')
            # No second try at what will not pass.
            self.assertEqual(len(relay.requests), 1)

    def test_redirects_are_not_followed(self):
        with fake_relay.Relay() as elsewhere:
            def fault(*_):
                return 307, [('Location', elsewhere.url + '/api/v1/relay/1/x?upload')]
            with fake_relay.Relay(fault=fault) as relay:
                result = self.run_to(relay, state='failed')
            self.assertEqual(result['code'], 'RELAY_REDIRECTED')
            self.assertEqual(elsewhere.requests, [])

    def test_cancelled_while_it_waits(self):
        with fake_relay.Relay(fault=lambda *_: 503) as relay:
            started = time.monotonic()
            self.run_to(relay, state='cancelled', options=['--cancel-after', '1500'])
            self.assertLess(time.monotonic() - started, 30)


if __name__ == '__main__':
    unittest.main(verbosity=2)
