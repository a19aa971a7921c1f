#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Targets of type azure on Azurite, which checks signatures."""

import json
import os
import shutil
import tempfile
import unittest

import backups
import conformance
import azurite

MIB = 1 << 20
SHARED = {}


def setUpModule():
    azurite.require()
    SHARED['folder'] = tempfile.mkdtemp(prefix='backupx-azurite-')
    unittest.addModuleCleanup(shutil.rmtree, SHARED['folder'])
    for name, tls in (('plain', False), ('tls', True)):
        SHARED[name] = azurite.Azurite(os.path.join(SHARED['folder'], name), tls=tls)
        unittest.addModuleCleanup(SHARED[name].stop)


class Case(backups.Case):
    """A target there."""
    server = 'plain'

    def target(self, secrets=None, address=None, **config):
        return SHARED[self.server].target(secrets, address, **config)

    def spec(self, address=None, **config):
        return {**self.target(address=address, **config), 'part': 4 * MIB, 'without': '\t\\'}

    def operate_at(self, spec, *operations, **more):
        """How each operation went."""
        done = conformance.run(spec, operations=list(operations), **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]


class Conformance(Case, conformance.Cases, conformance.Line):
    """What every type must do, with the account's key."""
    cases = conformance.CASES + ['wrong digest']

    def address(self):
        return '127.0.0.1', SHARED['plain'].port

    def test_flipped_bit(self):
        once = self.operate(lambda number: ('flip up', MIB) if number == 0 else None, self.put(), self.get())
        self.assertEqual([d['code'] for d in once], ['', ''], once)
        always = self.operate(lambda number: ('flip up', MIB), self.put(), retry_ms=1)
        self.assertEqual(always[0]['code'], 'STORAGE_CHECKSUM', always)

    def test_blocks_over_a_bad_line(self):
        """Of several blocks two are cut; what is given up is not seen."""
        cuts = iter([('cut up', MIB), None, ('cut up', 3 * MIB)])
        done = self.operate(lambda number: next(cuts, None), self.put(size=17 * MIB), self.get(size=17 * MIB))
        self.assertEqual([d['code'] for d in done], ['', ''], done)
        done = self.operate(lambda number: ('cut up', 3 * MIB), self.put(size=17 * MIB), retry_ms=1000,
                            prefix='given-up/')
        self.assertEqual(done[0]['code'], 'STORAGE_INTERRUPTED', done)
        done = self.operate_at(self.spec(), {'do': 'stat', 'key': 'of/line'}, prefix='given-up/')
        self.assertEqual(done[0]['code'], 'OBJECT_NOT_FOUND', done)


    def test_tier(self):
        """Small and large objects are kept in it."""
        for key, size in (('small', 1000), ('large', 5 * MIB)):
            put = {'do': 'put', 'key': key, 'size': size}
            done = self.operate_at(self.spec(tier='Cold'), put, prefix='tier/')[0]
            self.assertEqual(done['code'], '', done)
        query = {'restype': 'container', 'comp': 'list', 'prefix': 'a/prefix/tier/'}
        status, body = SHARED['plain'].request('GET', azurite.CONTAINER, query)
        self.assertEqual(status, 200, body)
        self.assertEqual(body.count(b'<AccessTier>Cold</AccessTier>'), 2, body)


class Token(Case):
    """With a token, over TLS."""
    server = 'tls'

    def spec(self, address=None, token=None, **config):
        secrets = {'sas_token': SHARED['tls'].sas() if token is None else token}
        return {**self.target(secrets, address, **config), 'part': 4 * MIB, 'without': '\t\\'}

    def test_cases(self):
        cases = ['objects', 'ranges', 'never replaced', 'list', 'missing', 'odd names', 'remove', 'visibility', 'probe']
        done = conformance.run(self.spec(), cases=cases)
        self.assertEqual(done.returncode, 0, done.stderr)
        done = conformance.run(self.spec(token='?' + SHARED['tls'].sas()), cases=['ranges'])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_a_token_does_not_allow(self):
        """The failure says so, and does not have the token in it."""
        put = {'do': 'put', 'key': 'x', 'size': 1000}
        for token, operation in ((SHARED['tls'].sas('rl'), put), (SHARED['tls'].sas(hours=-1), {'do': 'list'}),
                                 (SHARED['tls'].sas()[:-9] + 'AAAA%3D', {'do': 'list'})):
            done = self.operate_at(self.spec(token=token), operation)[0]
            self.assertEqual(done['code'], 'STORAGE_DENIED', done)
            self.assertNotIn('sig=', str(done))
        # One that may add and not remove is a good one.
        done = self.operate_at(self.spec(token=SHARED['tls'].sas('rlcw')), {'do': 'probe'})[0]
        self.assertEqual(done['code'], '', done)

    def test_certificate(self):
        spec = self.spec()
        del spec['config']['ca_cert']
        done = self.operate_at(spec, {'do': 'list'}, retry_ms=1)[0]
        self.assertEqual(done['code'], 'STORAGE_CERTIFICATE', done)
        self.assertNotIn('sig=', str(done))


class Refusals(Case):
    """What a server refuses, told by its kind."""

    def check(self, spec, code, *words):
        put = {'do': 'put', 'key': 'refused/x', 'size': 1000}
        large = {'do': 'put', 'key': 'refused/y', 'size': 5 * MIB}
        for operation in (put, large, {'do': 'list'}, {'do': 'get', 'key': 'refused/x', 'size': 1000},
                          {'do': 'probe'}):
            done = self.operate_at(spec, operation)[0]
            self.assertEqual(done['code'], code, done)
            for word in words:
                self.assertIn(word, done['message'])

    def test_credentials(self):
        spec = self.spec()
        spec['secrets'] = {'account_key': 'QmFja3VwWA=='}
        self.check(spec, 'STORAGE_DENIED')

    def test_no_container(self):
        self.check(self.spec(container='nobodys'), 'STORAGE_NO_BUCKET', 'container')

    def test_names(self):
        """What the service would keep under another name is not sent."""
        for key in ('a\\b', 'a/b.', 'a./b', 'tab\there', 'x' * 1020):
            done = self.operate_at(self.spec(), {'do': 'put', 'key': key, 'size': 1})[0]
            self.assertEqual(done['code'], 'STORAGE_KEY_INVALID', done)


if __name__ == '__main__':
    unittest.main(verbosity=2)
