#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A client that lies, against the real API: malformed, oversized, truncated, pipelined, chunked, slow. It has the
token of a node, so that its bodies reach the parsers, and of an administrator. Meanwhile another node's agent has
to be served as if nothing were.

Seconds: BACKUPX_HOSTILE_SECONDS, 12 by default, 200 in the long form. The seed is printed; BACKUPX_HOSTILE_SEED
repeats a run.
"""

import json
import os
import pathlib
import random
import re
import socket
import subprocess
import threading
import time
import unittest

from agent_fake import FakeAgent, FakeNode
from http_case import HttpCase, wait_until

SECONDS = int(
    os.environ.get('BACKUPX_HOSTILE_SECONDS') or (200 if os.environ.get('BACKUPX_TEST_LONG') else 12)
)
SEED = int(os.environ.get('BACKUPX_HOSTILE_SEED') or time.time())
REQUEST_TIMEOUT = 5
SLOW = 150
LIARS = 16
# An answer comes at once, or the server waits for more.
SILENCE = 0.2
# An agent gives up after much longer; a machine that is busy with other tests needs some.
LATENCY = 5
MEMORY_KIB = 64 * 1024
# What the client's own protocol errors may be called: not implemented, version not supported.
OURS = {501, 505}
# These wait for an agent, write for long, or end the game.
LEFT_OUT = ('/test', '/stream', '/events', '/logout', 'users', 'password', 'api-keys', '/browse', '/check')

ODD_VALUES = (
    None,
    True,
    -1,
    0,
    2**31,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    1.5,
    1e308,
    '',
    'x' * 300,
    'x' * 70000,
    '\x00',
    'a\nb\x1b[31m',
    '\ud800',
    '../../etc/passwd',
    'age1' + 'q' * 58,
    [],
    {},
    [[]],
    [None] * 1000,
    {'base64': '!!'},
    {'command': -1, 'attempt': 'x'},
)


def mutate_json(rng, value):
    """The same document with something odd at one place or some."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        changed = dict(value)
        choice = rng.random()
        if choice < 0.15:
            del changed[key]
        elif choice < 0.25:
            changed[rng.choice(('', 'x' * 1000, 'extra', key.upper()))] = rng.choice(ODD_VALUES)
        else:
            changed[key] = mutate_json(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.5:
        i = rng.randrange(len(value))
        return value[:i] + [mutate_json(rng, value[i])] * rng.choice((1, 1, 2, 300)) + value[i + 1 :]
    return rng.choice(ODD_VALUES)


def mutate_bytes(rng, data):
    """A few bytes changed, left out, or said twice."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        if not data:
            break
        i = rng.randrange(len(data))
        n = rng.randrange(1, 30)
        choice = rng.randrange(5)
        if choice == 0:
            data[i] = rng.randrange(256)
        elif choice == 1:
            del data[i : i + n]
        elif choice == 2:
            data[i:i] = data[i : i + n]
        elif choice == 3:
            data[i:i] = bytes(rng.choice(b'\x00\r\n"\\{}[]:,\xff0') for _ in range(n))
        else:
            data[i:i] = rng.choice((b'\r\n\r\n', b'[' * 2000, b'\xed\xa0\x80', b'\\u0000', b'%00%2e%2e/'))
    return bytes(data)


class Liar:
    """Makes requests."""

    def __init__(self, rng, seeds):
        self.rng = rng
        self.seeds = seeds

    def body_of(self, seed):
        """A body that may be good."""
        body = seed[3]
        if body is not None and self.rng.random() < 0.6:
            for _ in range(self.rng.randrange(1, 4)):
                body = mutate_json(self.rng, body)
        data = b'' if body is None else json.dumps(body).encode()
        if self.rng.random() < 0.25:
            data = mutate_bytes(self.rng, data or b'{}')
        if self.rng.random() < 0.01:
            data = b'{"a":"' + b'x' * self.rng.choice((70_000, 600_000, 5_000_000)) + b'"}'
        return data

    def framed(self, data):
        """(headers, bytes) that say, or do not say, how long the body is."""
        rng = self.rng
        choice = rng.random()
        if choice < 0.7:
            return f'Content-Length: {len(data)}\r\n'.encode(), data
        if choice < 0.8:
            length = rng.choice(('-1', '', '+5', '0x10', '99999999999999999999', '5 5', 'x', str(len(data) + 9),
                                 str(max(0, len(data) - 3)), '9223372036854775807'))
            return f'Content-Length: {length}\r\n'.encode(), data
        sizes = (f'{len(data):x}', f'{len(data):X};extension="x"', '0', '-1', 'ffffffffffffffff', 'zz',
                 '0' * 400 + f'{len(data):x}', f'{len(data) + 5:x}')
        size = rng.choice(sizes).encode()
        end = rng.choice((b'\r\n0\r\n\r\n', b'\r\n0\r\n', b'\n0\n\n', b'\r\n0\r\nTrailer: x\r\n\r\n', b''))
        both = rng.choice((b'', b'', b'Content-Length: 3\r\n'))
        codings = (b'chunked', b'chunked', b'gzip, chunked', b'identity', b'Chunked, chunked', b'\x0bchunked')
        coding = rng.choice(codings)
        return both + b'Transfer-Encoding: ' + coding + b'\r\n', size + b'\r\n' + data + end

    def request(self):
        """The bytes of one."""
        rng = self.rng
        seed = rng.choice(self.seeds)
        method, path, token, _ = seed
        if rng.random() < 0.05:
            method = rng.choice(('get', 'POST POST', '', 'OPTIONS', 'TRACE', 'CONNECT', 'PRI', 'X' * 300))
        if rng.random() < 0.1:
            path = rng.choice((path + '?wait=x', path + '?wait=0&wait=1&a=%', path + '/..', '//' + path, '*',
                               path + '%00', path.replace('1', '9' * 30), path + '?' + 'a=b&' * 1000,
                               'http://x' + path))
        if rng.random() < 0.1:
            token = rng.choice(('', 'bxn_' + 'A' * 43, 'x' * 4000, token + 'A', token[:-1], '\u00e9'))
        head = [f'{method} {path} HTTP/{rng.choice(("1.1",) * 30 + ("1.0", "2.0", "9.9", "1.1x", ""))}']
        head += ['Host: master'] * rng.choice((1,) * 20 + (0, 2))
        head.append(f'Authorization: Bearer {token}')
        if rng.random() < 0.05:
            head.append(rng.choice(('X: ' + 'y' * 9000, 'Expect: 100-continue', 'Expect: x', ': x', 'no colon',
                                    ' folded', 'Connection: close', 'Upgrade: h2c', 'X-Forwarded-For: ::1,x',
                                    'Cookie: backupx_session=' + 'A' * 500, 'A: b\r\n' * 200)))
        framing, body = self.framed(self.body_of(seed))
        data = '\r\n'.join(head).encode('utf-8', 'replace') + b'\r\n' + framing + b'\r\n' + body
        if rng.random() < 0.1:
            data = mutate_bytes(rng, data)
        if rng.random() < 0.05:
            data = data[: rng.randrange(len(data) + 1)]
        return data


def statuses(data):
    """The status codes of all answers in what a connection gave."""
    return [int(code) for code in re.findall(rb'(?:^|\n|\}|\r\n\r\n)HTTP/1\.[01] (\d{3}) ', data)]


class Hostile(HttpCase):
    """All of it at once."""

    environment = {
        'BACKUPX_SERVER_REQUEST_TIMEOUT': f'{REQUEST_TIMEOUT}s',
        'BACKUPX_LOG_LEVEL': 'notice',
        # Freed memory that a sanitizer keeps back is no growth of ours.
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':quarantine_size_mb=8',
    }

    def pid(self):
        """Of the API."""
        return self.suite.processes['api'].process.pid

    def memory(self):
        """KiB of the API."""
        text = pathlib.Path(f'/proc/{self.pid()}/status').read_text()
        return int(re.search(r'VmRSS:\s+(\d+)', text)[1])

    def descriptors(self):
        """Open files of the API."""
        return len(os.listdir(f'/proc/{self.pid()}/fd'))

    def seeds(self, node):
        """Good requests: (method, path, token, body)."""
        agent = node.agent
        beat = agent.heartbeat_body(running=[{'command': 1, 'attempt': 1}], tools={'pg_dump': '15.6'})
        claim = {'agent_id': agent.agent_id, 'capacity': 2, 'probes': 2, 'holding': [{'command': 1, 'attempt': 1}]}
        progress = {'attempt': 1, 'phase': 'reading', 'bytes_read': 1, 'bytes_written': 1, 'bytes_total': 2,
                    'files_done': 1, 'files_total': 2, 'current': '/etc',
                    'log': [{'t': '2026-11-22T22:15:01Z', 'level': 'info', 'text': 'x', 'seq': 1}]}
        result = {'attempt': 1, 'status': 'succeeded', 'error': None,
                  'result': {'bytes_read': 1, 'files': 1, 'errors': [], 'objects': [], 'targets': []}}
        enroll = {'enrollment_token': 'bxe_' + 'A' * 43, 'public_key': agent.public_key, 'hostname': 'h', 'os': 'linux',
                  'arch': 'x', 'version': '1'}
        base = '/api/v1/agent'
        seeds = [
            ('POST', f'{base}/heartbeat', agent.token, beat),
            ('POST', f'{base}/commands/claim?wait=0', agent.token, claim),
            ('POST', f'{base}/commands/1/accept', agent.token, {'attempt': 1}),
            ('POST', f'{base}/commands/1/progress', agent.token, progress),
            ('POST', f'{base}/commands/1/result', agent.token, result),
            ('POST', f'{base}/enroll', '', enroll),
            ('GET', f'{base}/self', agent.token, None),
            ('POST', f'{base}/relay/1/x?upload', 'bxr_' + 'A' * 43 + '.1', None),
        ] * 4
        return seeds + list(self.seeds_of_people())

    def seeds_of_people(self):
        """Every other route, lightly."""
        routes = subprocess.run([self.suite.program('api'), '--list-routes'], stdout=subprocess.PIPE, text=True,
                                check=True).stdout
        for line in routes.splitlines():
            methods, pattern = line.split()[:2]
            if '/agent' in pattern or any(part in pattern for part in LEFT_OUT):
                continue
            path = re.sub(r'\{\w+\*?\}', '7777', pattern)
            for method in methods.rstrip(',').split(','):
                yield method, path, self.admin.token, None if method in ('GET', 'HEAD') else {'name': 'x'}

    def lie(self, rng, seeds, until, found):
        """One thread of lies."""
        liar = Liar(rng, seeds)
        while time.monotonic() < until:
            data = b''.join(liar.request() for _ in range(rng.choice((1, 1, 1, 2, 5))))
            answer = b''
            try:
                with socket.create_connection(('127.0.0.1', self.suite.port), 10) as s:
                    s.sendall(data)
                    if rng.random() < 0.2:
                        continue
                    s.settimeout(SILENCE)
                    while part := s.recv(65536):
                        answer += part
            except (ConnectionResetError, BrokenPipeError, TimeoutError):
                pass  # hung up on, or waiting for the rest of a request
            except OSError as error:
                found['broken'].append((repr(error), data[:2000]))
            for code in statuses(answer):
                found['codes'][code] = found['codes'].get(code, 0) + 1
                if code >= 500 and code not in OURS:
                    found['broken'].append((code, answer[-500:], data[:2000]))

    def crawl(self, stop, closed):
        """Slow ones: half a head, or half a body, a byte now and then. Notes when the server has had enough."""
        head = b'POST /api/v1/agent/heartbeat HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n'
        connections = []
        for i in range(SLOW):
            s = socket.create_connection(('127.0.0.1', self.suite.port), 10)
            s.sendall(head + (b'\r\n{' if i % 2 else b'X-'))
            connections.append(s)
        while not stop.wait(0.5) and connections:
            for s in list(connections):
                try:
                    s.sendall(b'x')
                except OSError:
                    connections.remove(s)
                    s.close()
                    closed.append(s)
        for s in connections:
            s.close()

    def live(self, agent, stop, times):
        """A good agent, which has its token and its patience."""
        while not stop.wait(0.05):
            begun = time.monotonic()
            agent.heartbeat()
            agent.claim(0)
            times.append(time.monotonic() - begun)

    def test_hostile(self):
        print(f'seed {SEED}, {SECONDS} s', flush=True)
        victim, good = FakeNode(self.suite), FakeNode(self.suite)
        self.addCleanup(victim.close)
        self.addCleanup(good.close)
        seeds = self.seeds(victim)
        descriptors = self.descriptors()
        found = {'codes': {}, 'broken': []}
        stop, closed, times = threading.Event(), [], []
        patient = FakeAgent(self.suite, good.agent.token, good.agent.agent_id, good.agent.public_key)
        self.addCleanup(patient.close)
        threads = [threading.Thread(target=self.live, args=(patient, stop, times)),
                   threading.Thread(target=self.crawl, args=(stop, closed))]
        for thread in threads:
            thread.start()
        try:
            self.rounds(seeds, found)
            # The slow ones were sent away, the last of them in a moment.
            wait_until(lambda: len(closed) == SLOW, 4 * REQUEST_TIMEOUT, 'the end of the slow requests')
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.judge(found, times)
        good.agent.close()  # idle for too long: the next call connects again
        command = good.command()
        good.agent.accept(command)
        good.agent.result(command, 'failed')
        wait_until(lambda: self.descriptors() <= descriptors + 4, 30, 'the end of all connections')

    def rounds(self, seeds, found):
        """Two rounds of lies: the second one must not need more memory than the first."""
        memory = 0
        for part in (0.4, 0.6):
            until = time.monotonic() + SECONDS * part
            liars = [threading.Thread(target=self.lie, args=(random.Random(SEED + i + part), seeds, until, found))
                     for i in range(LIARS)]
            for liar in liars:
                liar.start()
            for liar in liars:
                liar.join()
            self.assertTrue(self.suite.processes['api'].running(), self.suite.processes['api'].tail(200))
            grown, memory = self.memory() - memory, self.memory()
        self.assertLess(grown, MEMORY_KIB)

    def judge(self, found, times):
        """What came of it."""
        times.sort()
        codes = ', '.join(f'{code}: {n}' for code, n in sorted(found['codes'].items()))
        print(f'{sum(found["codes"].values())} answers ({codes}); the good agent was answered {len(times)} times, '
              f'p99 {times[int(len(times) * 0.99)] * 1000:.0f} ms, worst {times[-1] * 1000:.0f} ms', flush=True)
        self.assertEqual(found['broken'][:3], [])
        self.assertGreater(sum(found['codes'].values()), 20 * SECONDS)
        for code in (200, 400, 401, 404, 413):
            self.assertIn(code, found['codes'])
        self.assertGreater(len(times), SECONDS)
        self.assertLess(times[-1], LATENCY)


if __name__ == '__main__':
    unittest.main()
