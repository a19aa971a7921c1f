# SPDX-License-Identifier: Apache-2.0
"""One suite over all types of storage: a test class takes Cases, and Line where the type has a server, and says
in spec() how its target is reached."""

import json
import os
import random
import subprocess
import unittest

import backups
import fault_proxy

MIB = 1 << 20
DRIVER = os.path.join(backups.BUILD, 'tests', 'storage', 'conformance')
CASES = ['objects', 'ranges', 'never replaced', 'race', 'given up', 'sealed', 'volumes', 'list', 'missing', 'keys',
         'odd names', 'remove', 'concurrent', 'visibility', 'pages', 'probe']


def run(spec, env=None, timeout=1800 if backups.LONG else 600, **more):
    """The driver over this target; what came of it."""
    target = {'prefix': f'n{random.getrandbits(40):010x}/', **spec, **more}
    return subprocess.run([DRIVER], input=json.dumps(target), capture_output=True, text=True, check=False,
                          timeout=timeout, env={**os.environ, **(env or {})})


class Cases:
    """What every type must do. cases may be made longer, not shorter without a reason."""
    cases = CASES
    #: How much memory the driver may have had: its own few MiB, and what the type holds.
    memory = 96 * MIB
    #: The same of the largest program that it starts.
    child_memory = 96 * MIB
    large = 64 * MIB
    large_long = 5 * 1024 * MIB
    pages = 1050

    def run_cases(self, cases, **more):
        done = run(self.spec(), cases=cases, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def check_memory(self, what, done):
        """Says how long it took and how much memory was needed at most, which is bounded."""
        words = dict(line.split() for line in done.stdout.splitlines() if line[:1] != '{')
        peak, child = int(words.pop('kib')) * 1024, int(words.pop('child_kib')) * 1024
        times = ', '.join(f'{name} {seconds} s' for name, seconds in words.items())
        print(f'\nmeasured: {self.id()}: {what}: {times}; peak {peak / MIB:.1f} MiB' +
              (f', of a child {child / MIB:.1f} MiB' if child else ''), flush=True)
        if not backups.SANITIZED:
            self.assertLess(peak, self.memory)
            self.assertLess(child, self.child_memory)

    def test_cases(self):
        self.run_cases(self.cases, pages=self.pages)

    @unittest.skipUnless(backups.LONG, 'long rounds: 10,000 objects')
    def test_many_keys(self):
        """In a program of its own: what other cases write is in its memory as well."""
        self.check_memory('10000 keys', self.run_cases(['pages'], pages=10000))

    def test_large_object(self):
        size = self.large_long if backups.LONG and not backups.SANITIZED else self.large
        self.check_memory(f'{size // MIB} MiB', self.run_cases(['large'], large=size))


class Line:
    """What may happen between a type and its server. address() is where the server listens, spec(address) a
    target that is reached there instead."""
    #: Whether an answer of HTTP means something to it.
    speaks_http = True
    #: Whether the server's word of how long to wait reaches it.
    told_to_wait = True
    body = 3 * MIB
    proxy = fault_proxy.Proxy

    def operate(self, fault, *operations, **more):
        """Each operation with the fault in between; what the driver says of each."""
        more = {'retry_ms': 30000, 'stall_ms': 20000, **more}
        host, port = self.address()
        with self.proxy(host, port, fault) as proxy:
            done = run(self.spec(('127.0.0.1', proxy.port)), operations=list(operations), **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def put(self, **more):
        return {'do': 'put', 'key': 'of/line', 'size': self.body, **more}

    def get(self, **more):
        return {'do': 'get', 'key': 'of/line', 'size': self.body, **more}

    def test_asked_to_wait(self):
        if not self.speaks_http:
            self.skipTest('not HTTP')
        waits = ('status', 503, [('Retry-After', '1')])
        done = self.operate(lambda number: waits if number == 0 else None, self.put(), self.get())
        self.assertEqual([d['code'] for d in done], ['', ''])
        if self.told_to_wait:
            self.assertGreaterEqual(done[0]['seconds'], 1)

    def test_throttled_for_good(self):
        if not self.speaks_http:
            self.skipTest('not HTTP')
        for status in (429, 503):
            done = self.operate(lambda number: ('status', status, []), self.put(), retry_ms=1500)
            self.assertEqual(done[0]['code'], 'STORAGE_THROTTLED', done)

    def test_reset_in_the_body(self):
        done = self.operate(lambda number: ('cut up', MIB) if number < 2 else None, self.put(), self.get())
        self.assertEqual([d['code'] for d in done], ['', ''], done)
        prefix = 'reset/'
        done = self.operate(None, self.put(), prefix=prefix)
        self.assertEqual(done[0]['code'], '', done)
        done = self.operate(lambda number: ('cut down', MIB) if number < 2 else None, self.get(), prefix=prefix)
        self.assertEqual(done[0]['code'], '', done)

    def test_reset_for_good(self):
        prefix = 'reset-for-good/'
        done = self.operate(lambda number: ('cut up', MIB), self.put(), retry_ms=1000, prefix=prefix)
        self.assertEqual(done[0]['code'], 'STORAGE_INTERRUPTED', done)
        # Nothing of it is seen.
        done = self.operate(None, {'do': 'stat', 'key': 'of/line'}, prefix=prefix)
        self.assertEqual(done[0]['code'], 'OBJECT_NOT_FOUND', done)

    def test_line_that_stands_still(self):
        done = self.operate(lambda number: ('stall up', MIB), self.put(), stall_ms=1000, retry_ms=1)
        self.assertEqual(done[0]['code'], 'STORAGE_STALLED', done)
        self.assertGreaterEqual(done[0]['seconds'], 1)

    def test_no_server(self):
        host, _ = self.address()
        done = run(self.spec((host, 1)), operations=[{'do': 'stat', 'key': 'x'}, {'do': 'list'}],
                   retry_ms=1)
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in done.stdout.splitlines():
            self.assertEqual(json.loads(line)['code'], 'STORAGE_UNREACHABLE', line)

    def test_cancelled_within_a_second(self):
        for fault in (('stall up', MIB), ('stall up', 0), ('status', 503, [('Retry-After', '20')])):
            if fault[0] == 'status' and not self.speaks_http:
                continue
            done = self.operate(lambda number, what=fault: what, self.put(cancel_after=300),
                                prefix=f'cancelled-{fault[0]}-{fault[1]}/'.replace(' ', '-'))
            self.assertEqual(done[0]['code'], 'CANCELLED', done)
            self.assertLess(done[0]['after_cancel'], 1, done)

    def test_rate(self):
        done = self.operate(None, self.put(), rate=2 * MIB)
        # What is sent at once and the last share are not waited for.
        self.assertGreaterEqual(done[0]['seconds'], self.body / (2 * MIB) - 0.5)
        self.assertEqual(done[0]['code'], '')
