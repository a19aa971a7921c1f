#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every type of storage does the same."""

import os
import random
import unittest

import backups
import conformance
import fake_relay


class Local(conformance.Cases, backups.Case):
    """A directory."""

    def spec(self):
        return {'type': 'local', 'config': {'path': self.store}, 'usage': True}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, prefix='below/a/prefix/', **more)
        self.assertEqual([n for n in self.objects() if '.part' in n], [])
        return done


class LocalWithoutUnnamedFiles(Local):
    """On a file system that does not know them."""

    def run_cases(self, cases, **more):
        return super().run_cases(cases, env={
            'LD_PRELOAD': os.path.join(backups.BUILD, 'tests', 'storage', 'libno-tmpfile.so')}, **more)


class Relay(conformance.Cases, conformance.Line, backups.Case):
    """The relay of a master, as far as faults of it are wanted: see test_relay.py."""
    cases = [*conformance.CASES, 'wrong digest']
    #: This one keeps everything in memory.
    large_long = 512 << 20

    def setUp(self):
        super().setUp()
        self.relay = fake_relay.Relay()
        self.relay.page = 1000
        self.enterContext(self.relay)

    def address(self):
        return '127.0.0.1', self.relay.server_port

    def spec(self, address=None):
        return {'type': 'relay', 'secrets': {'relay_token': self.relay.token},
                'master_url': 'http://%s:%d' % (address or self.address())}

    def run_cases(self, cases, **more):
        done = super().run_cases(cases, **more)
        if not self.relay.fault:
            self.assertEqual(self.relay.uploads, {})
        return done

    def test_small_pages(self):
        self.relay.page = 2
        self.run_cases(['list', 'pages'], pages=100)

    def test_append_only(self):
        self.relay.may_remove = False
        self.run_cases([c for c in self.cases if c != 'probe'], may_remove=False, pages=10)

    def test_one_that_repeats_a_page(self):
        self.relay.repeats_pages = True
        done = conformance.run(self.spec(), cases=['list'])
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('not well-formed', done.stderr)

    def test_faults(self):
        dice = random.Random(3)

        def fault(*_):
            return dice.choice([None] * 45 + ['drop', 'drop after', 500, 502, (503, [('Retry-After', '1')])])
        self.relay.fault = fault
        self.run_cases(['objects', 'never replaced', 'list', 'odd names', 'remove', 'wrong digest'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
