#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The relay against the real API: uploads, what a capability opens and what it does not, and restarts."""

import hashlib
import http.client
import json
import os
import secrets
import subprocess
import time
import unittest

from agent_fake import DELETE, GET, LOCK, PUT, FakeAgent, FakeNode, add_capability, quote
from suite import Suite

SUITE = Suite(agent=False)
PART = 8 << 20


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Job:
    """A job with a capability."""

    def __init__(self, target, token, attempt=1):
        self.target = target
        self.token = f'{token}.{attempt}'
        self.connection = http.client.HTTPConnection('127.0.0.1', SUITE.port, timeout=60)

    def request(self, method, path, body=None, headers=None):
        """(status, headers, body)."""
        url = f'/api/v1/relay/{self.target}/{path}'
        merged = {'Authorization': f'Bearer {self.token}', **(headers or {})}
        self.connection.request(method, url, body, merged)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def code(self, method, path, body=None):
        """(status, code) of a refusal."""
        status, _, answer = self.request(method, path, body)
        return status, Answer.code(answer)

    def begin(self, key):
        """Starts an upload; its id."""
        status, _, answer = self.request('POST', quote(key) + '?upload')
        assert status == 201, (status, answer)
        data = Answer.data(answer)
        assert data['part_size'] == PART
        return data['upload']

    def part(self, key, upload, number, data):
        """The status of a part."""
        return self.request('PUT', f'{quote(key)}?upload={upload}&part={number}', data)[0]

    def commit(self, key, upload, data=None, size=None, digest=None):
        """(status, code) of a commit of these bytes."""
        body = Answer.text(
            {
                'size': len(data) if size is None else size,
                'sha256': digest or hashlib.sha256(data).hexdigest(),
            }
        )
        return self.code('POST', f'{quote(key)}?commit={upload}', body)

    def put(self, key, data):
        """A whole object."""
        upload = self.begin(key)
        for number in range((len(data) + PART - 1) // PART):
            assert self.part(key, upload, number, data[number * PART : (number + 1) * PART]) == 204
        return self.commit(key, upload, data)[0]


class Answer:
    """Envelopes."""

    @staticmethod
    def data(answer):
        """What a success holds."""
        return json.loads(answer)['data']

    @staticmethod
    def code(answer):
        """OK, or the code of a refusal; empty without a body."""
        return json.loads(answer)['code'] if answer else ''

    @staticmethod
    def text(value):
        """A body."""
        return json.dumps(value).encode()


class Case(unittest.TestCase):
    """A node with a command that is out, and a job with the capability of a backup."""

    def setUp(self):
        self.node = FakeNode(SUITE, kind='relay')
        self.addCleanup(self.node.close)
        self.command = self.node.command()
        self.node.agent.accept(self.command)
        self.prefix = f'{self.node.name}/task/time-1-1/'
        self.job = self.make_job(self.prefix[:-2], GET | PUT)
        self.folder = SUITE.master_state / 'relay' / str(self.node.target)

    def open_job(self, token, target=None, attempt=1):
        """A connection with any token."""
        job = Job(target or self.node.target, token, attempt)
        self.addCleanup(job.connection.close)
        return job

    def make_job(self, prefix, verbs, **more):
        """A job of this command."""
        self.token = add_capability(SUITE, self.command['id'], self.node.target, prefix, verbs, **more)
        return self.open_job(self.token)

    def staged(self):
        """Files of uploads that are not committed."""
        staging = self.folder / '.backupx-staging'
        return sorted(path.name for path in staging.iterdir()) if staging.exists() else []


class Upload(Case):
    """Begin, parts, commit."""

    def test_object(self):
        key, data = self.prefix + 'data tar ü.zst', os.urandom(PART + 12345)
        self.assertEqual(self.job.put(key, data), 201)
        self.assertEqual((self.folder / key).read_bytes(), data)
        self.assertEqual(self.staged(), [])
        status, headers, answer = self.job.request('GET', quote(key))
        self.assertEqual((status, int(headers['Content-Length'])), (200, len(data)))
        self.assertEqual(answer, data)
        status, headers, answer = self.job.request('HEAD', quote(key))
        self.assertEqual((status, int(headers['Content-Length']), answer), (200, len(data), b''))

    def test_empty_object(self):
        key = self.prefix + 'empty'
        self.assertEqual(self.job.put(key, b''), 201)
        self.assertEqual((self.folder / key).read_bytes(), b'')
        self.assertEqual(self.job.request('GET', quote(key))[2], b'')

    def test_ranges(self):
        key, data = self.prefix + 'data', os.urandom(1000)
        self.job.put(key, data)
        for text, expected in (
            ('bytes=0-9', data[:10]),
            ('bytes=990-', data[990:]),
            ('bytes=-5', data[-5:]),
            ('bytes=999-5000', data[999:]),
            ('bytes=-5000', data),
        ):
            status, headers, answer = self.job.request('GET', key, headers={'Range': text})
            self.assertEqual((status, answer), (206, expected), text)
            self.assertTrue(headers['Content-Range'].endswith('/1000'))
        for text in ('bytes=1000-', 'bytes=-0'):
            status, _, _ = self.job.request('GET', key, headers={'Range': text})
            self.assertEqual(status, 416, text)
        for text in ('bytes=5-4', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=-'):
            status, _, answer = self.job.request('GET', key, headers={'Range': text})
            self.assertEqual((status, answer), (200, data), text)

    def test_repeated_part(self):
        key, data = self.prefix + 'data', os.urandom(PART + 100)
        upload = self.job.begin(key)
        for _ in range(3):
            self.assertEqual(self.job.part(key, upload, 0, data[:PART]), 204)
        self.assertEqual(self.job.part(key, upload, 0, os.urandom(PART)), 422)
        for _ in range(2):
            self.assertEqual(self.job.part(key, upload, 1, data[PART:]), 204)
        self.assertEqual(self.job.part(key, upload, 0, data[:PART]), 409)
        self.assertEqual(self.job.commit(key, upload, data), (201, 'OK'))
        self.assertEqual((self.folder / key).read_bytes(), data)

    def test_order(self):
        key = self.prefix + 'data'
        upload = self.job.begin(key)
        self.assertEqual(self.job.part(key, upload, 1, b'x'), 409)
        self.assertEqual(self.job.part(key, upload, 0, b'short'), 204)
        self.assertEqual(self.job.part(key, upload, 1, b'x'), 409)
        self.assertEqual(self.job.part(key, 'f' * 32, 0, b'x'), 404)
        self.assertEqual(self.job.part(key, '../../../etc/passwd', 0, b'x'), 404)
        self.assertEqual(self.job.part(self.prefix + 'other', upload, 0, b'x'), 404)
        self.assertEqual(self.job.request('PUT', f'{key}?upload={upload}&part=x', b'x')[0], 400)
        self.assertEqual(self.job.commit(key, upload, b'short'), (201, 'OK'))

    def test_too_large_part(self):
        key = self.prefix + 'data'
        upload = self.job.begin(key)
        try:
            self.assertEqual(self.job.part(key, upload, 0, b'x' * (PART + 1)), 413)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was closed before all was sent
        self.assertEqual(len(self.staged()), 1)
        self.assertFalse((self.folder / key).exists())

    def test_commit(self):
        key, data = self.prefix + 'data', b'0123456789'
        upload = self.job.begin(key)
        self.job.part(key, upload, 0, data)
        self.assertEqual(self.job.commit(key, upload, data, size=9), (422, 'RELAY_CHECKSUM'))
        self.assertEqual(self.job.commit(key, upload, b'012345678X'), (422, 'RELAY_CHECKSUM'))
        self.assertFalse((self.folder / key).exists())
        self.assertEqual(self.job.commit(key, upload, data), (201, 'OK'))
        # The reply may have been lost.
        self.assertEqual(self.job.commit(key, upload, data), (200, 'OK'))
        self.assertEqual(self.job.commit(key, upload, b'9876543210'), (409, 'RELAY_EXISTS'))
        self.assertEqual(self.job.code('POST', f'{key}?upload'), (409, 'RELAY_EXISTS'))

    def test_two_uploads_of_one_key(self):
        key = self.prefix + 'data'
        first, second = self.job.begin(key), self.job.begin(key)
        self.job.part(key, first, 0, b'first')
        self.job.part(key, second, 0, b'second')
        self.assertEqual(self.job.commit(key, first, b'first'), (201, 'OK'))
        self.assertEqual(self.job.commit(key, second, b'second'), (409, 'RELAY_EXISTS'))
        self.assertEqual((self.folder / key).read_bytes(), b'first')
        self.assertEqual(self.job.request('DELETE', f'{key}?upload={second}')[0], 204)
        self.assertEqual(self.staged(), [])

    def test_restart(self):
        """An upload goes on after the API was killed in the middle of it."""
        key, data = self.prefix + 'data', os.urandom(2 * PART + 77)
        upload = self.job.begin(key)
        self.assertEqual(self.job.part(key, upload, 0, data[:PART]), 204)
        SUITE.restart('api', kill=True)
        self.job.connection.close()
        self.assertEqual(self.job.part(key, upload, 0, data[:PART]), 204)
        self.assertEqual(self.job.part(key, upload, 1, data[PART : 2 * PART]), 204)
        SUITE.restart('api')
        self.job.connection.close()
        self.assertEqual(self.job.part(key, upload, 2, data[2 * PART :]), 204)
        self.assertEqual(self.job.commit(key, upload, data), (201, 'OK'))
        self.assertEqual((self.folder / key).read_bytes(), data)


class Confinement(Case):
    """What a capability does not open."""

    def test_prefix(self):
        for key in (
            f'{self.node.name}/task/time-1-2/data',
            f'{self.node.name}/task/time-1-10/data',
            f'{self.node.name}0/task/time-1-1/data',
            'data',
        ):
            self.assertEqual(self.job.code('POST', f'{key}?upload'), (403, 'RELAY_DENIED'), key)
            self.assertEqual(self.job.code('GET', key), (403, 'RELAY_DENIED'), key)
        self.assertEqual(self.job.code('GET', f'?prefix={self.node.name}/'), (403, 'RELAY_DENIED'))
        self.assertEqual(self.job.code('GET', '?prefix=' + self.prefix[:-1])[0], 400)

    def test_keys(self):
        bad = ['..', '../x', 'a/../../x', './x', 'a//b', 'a/', '.backupx-staging/x', 'a' * 256]
        for key in [*bad, '%2e%2e/x', '%00', '%ff', 'a%2f..%2fb']:
            status, _, _ = self.job.request('POST', f'{self.prefix}{key}?upload')
            self.assertIn(status, (400, 403, 404), key)
        self.assertEqual(self.staged(), [])

    def test_verbs(self):
        key = self.prefix + 'data'
        self.job.put(key, b'x')
        self.assertEqual(self.job.code('DELETE', key), (403, 'RELAY_DENIED'))
        reader = self.make_job(self.prefix, GET)
        self.assertEqual(reader.request('GET', key)[2], b'x')
        self.assertEqual(reader.code('POST', f'{self.prefix}new?upload'), (403, 'RELAY_DENIED'))
        remover = self.make_job(self.prefix, DELETE)
        self.assertEqual(remover.code('GET', key), (403, 'RELAY_DENIED'))
        self.assertEqual(remover.request('DELETE', key)[0], 204)
        self.assertEqual(remover.code('DELETE', key), (404, 'RELAY_NOT_FOUND'))
        self.assertFalse((self.folder / self.node.name).exists())

    def test_locks(self):
        """A job removes the locks that it wrote itself: no other's, and nothing but locks."""
        prefix = f'{self.node.name}/repository-1/'
        writer = self.make_job(prefix, GET | PUT | LOCK)
        for key in 'locks/mine', 'locks/second', 'data/ab/pack', 'locks/below/deep', 'config':
            self.assertEqual(writer.put(prefix + key, b'content'), 201)
        for key in 'data/ab/pack', 'locks/below/deep', 'config', 'locks/absent':
            self.assertEqual(writer.code('DELETE', prefix + key), (403, 'RELAY_DENIED'), key)

        mine = writer
        node = FakeNode(SUITE, kind='relay')
        self.addCleanup(node.close)
        other_command = node.command()
        node.agent.accept(other_command)
        token = add_capability(SUITE, other_command['id'], self.node.target, prefix, GET | PUT | LOCK)
        other = self.open_job(token)
        self.assertEqual(other.code('DELETE', prefix + 'locks/mine'), (403, 'RELAY_DENIED'))
        # Writing the same again is no claim to it: not as a new upload, and not as a commit that was lost.
        self.assertEqual(other.code('POST', prefix + 'locks/mine?upload'), (409, 'RELAY_EXISTS'))
        self.assertEqual(other.commit(prefix + 'locks/mine', secrets.token_hex(16), b'content')[0], 200)
        self.assertEqual(other.code('DELETE', prefix + 'locks/mine'), (403, 'RELAY_DENIED'))
        # One that nobody is known to have written, as stock restic does on the master's disk.
        (self.folder / prefix / 'locks' / 'foreign').write_bytes(b'content')
        self.assertEqual(mine.code('DELETE', prefix + 'locks/foreign'), (403, 'RELAY_DENIED'))

        backup = self.make_job(prefix, GET | PUT)
        self.assertEqual(backup.code('DELETE', prefix + 'locks/mine'), (403, 'RELAY_DENIED'))
        SUITE.restart('api')
        mine = self.make_job(prefix, GET | PUT | LOCK)  # of the same command
        self.assertEqual(mine.request('DELETE', prefix + 'locks/mine')[0], 204)
        self.assertEqual(mine.code('DELETE', prefix + 'locks/mine'), (403, 'RELAY_DENIED'))
        self.assertEqual(mine.request('DELETE', prefix + 'locks/second')[0], 204)

    def test_pruning(self):
        """A job that prunes removes what is stored, and nothing that opens the repository."""
        prefix = f'{self.node.name}/repository-1/'
        job = self.make_job(prefix, GET | PUT | LOCK | DELETE)
        for key in 'data/ab/pack', 'index/x', 'snapshots/x', 'locks/x', 'config', 'keys/x':
            self.assertEqual(job.put(prefix + key, b'content'), 201)
        for key in 'config', 'keys/x':
            self.assertEqual(job.code('DELETE', prefix + key), (403, 'RELAY_DENIED'), key)
        for key in 'data/ab/pack', 'index/x', 'snapshots/x', 'locks/x':
            self.assertEqual(job.request('DELETE', prefix + key)[0], 204, key)

    def test_tokens(self):
        key = self.prefix + 'data'
        for token in (
            'bxr_' + 'A' * 43,
            self.node.agent.token,
            SUITE.client.token,
            '',
        ):
            status, _, _ = self.open_job(token).request('GET', key)
            self.assertEqual(status, 401)
        other = FakeNode(SUITE, kind='relay')
        self.addCleanup(other.close)
        foreign = self.open_job(self.token, other.target)
        self.assertEqual(foreign.code('GET', key), (403, 'RELAY_DENIED'))
        # A capability opens nothing but the relay.
        agent = FakeAgent(SUITE, self.token)
        self.addCleanup(agent.close)
        self.assertEqual(agent.request('GET', 'agent/self')[0], 401)
        self.assertEqual(agent.request('GET', 'nodes')[0], 401)

    def test_links(self):
        """What lies on the disk already is not trusted."""
        outside = SUITE.folder / f'outside-{self.node.name}'
        outside.mkdir()
        (outside / 'secret').write_text('secret')
        parent = self.folder / self.prefix
        parent.mkdir(parents=True)
        (parent / 'link').symlink_to(outside)
        (parent / 'file').symlink_to(outside / 'secret')
        for key in (self.prefix + 'link/secret', self.prefix + 'file'):
            self.assertEqual(self.job.code('GET', key), (404, 'RELAY_NOT_FOUND'))
        key = self.prefix + 'link/new'
        upload = self.job.begin(key)
        self.job.part(key, upload, 0, b'x')
        self.assertGreaterEqual(self.job.commit(key, upload, b'x')[0], 400)
        self.assertEqual(sorted(os.listdir(outside)), ['secret'])
        listed = Answer.data(self.job.request('GET', '')[2])['items']
        self.assertEqual(listed, [])

    def test_malformed_attempts(self):
        for suffix in ('', '.', '.0', '.x', '.-1', '.1.1', '.4294967297', '.18446744073709551617'):
            job = self.open_job(self.token)
            job.token = self.token + suffix
            self.assertEqual(job.code('GET', self.prefix + 'data'), (401, 'RELAY_TOKEN_INVALID'), suffix)

    def test_attempt_that_was_overtaken(self):
        """All attempts get the same token, sealed once; it opens nothing for the job of an older one."""
        node = FakeNode(SUITE, kind='relay')
        self.addCleanup(node.close)
        first = node.command()
        for verbs, prefix in ((GET | PUT, f'{node.name}/task/time-1-'), (GET, f'{node.name}/task/time-0-1/')):
            with self.subTest(verbs=verbs):
                token = add_capability(SUITE, first['id'], node.target, prefix, verbs)
                attempt = first['attempt']
                old = self.open_job(token, node.target, attempt)
                key = f'{prefix}{attempt}/data' if verbs & PUT else prefix + 'data'
                self.assertEqual(old.code('GET', key), (404, 'RELAY_NOT_FOUND'))
                upload = old.begin(key) if verbs & PUT else None
                if upload:
                    self.assertEqual(old.part(key, upload, 0, b'x'), 204)
                # Delivered, and not named by the next claim: it was lost on the way.
                second = node.agent.claim_one()
                self.assertEqual((second['id'], second['attempt']), (first['id'], attempt + 1))
                refused = (401, 'RELAY_TOKEN_INVALID')
                self.assertEqual(old.code('GET', key), refused)
                self.assertEqual(old.code('HEAD', key)[0], 401)
                self.assertEqual(old.code('GET', f'?prefix={prefix}'), refused)
                if upload:
                    self.assertEqual(old.code('POST', f'{key}?upload'), refused)
                    self.assertEqual(old.part(key, upload, 1, b'x'), 401)
                    self.assertEqual(old.commit(key, upload, b'x'), refused)
                    # Nor may it call itself the newer one and go on below its own name.
                    liar = self.open_job(token, node.target, attempt + 1)
                    self.assertEqual(liar.commit(key, upload, b'x'), (403, 'RELAY_DENIED'))
                new = self.open_job(token, node.target, attempt + 1)
                key = f'{prefix}{attempt + 1}/data' if verbs & PUT else prefix + 'data'
                self.assertEqual(new.code('GET', key), (404, 'RELAY_NOT_FOUND'))
                first = second

    def test_dead_with_the_attempt(self):
        key = self.prefix + 'data'
        upload = self.job.begin(key)
        old = self.make_job(self.prefix, GET, attempt=7)
        self.assertEqual(old.request('GET', key)[0], 401)
        self.node.agent.result(self.command)
        self.assertEqual(self.job.code('GET', key), (401, 'RELAY_TOKEN_INVALID'))
        self.assertEqual(self.job.part(key, upload, 0, b'x'), 401)

    @unittest.skipUnless(os.environ.get('BACKUPX_TEST_LONG'), 'long rounds: the sweep comes once a minute')
    def test_sweep(self):
        self.job.begin(self.prefix + 'data')
        self.assertEqual(len(self.staged()), 1)
        self.node.agent.result(self.command)
        deadline = time.monotonic() + 130
        while self.staged() and time.monotonic() < deadline:
            time.sleep(1)
        self.assertEqual(self.staged(), [])


class FullDisk(Case):
    """A disk without room: a clear refusal, nothing half-written is seen, and room comes back."""

    def setUp(self):
        super().setUp()
        self.folder.mkdir(parents=True, exist_ok=True)
        mounted = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', str(self.folder)],
            stderr=subprocess.PIPE,
            check=False,
        )
        if mounted.returncode != 0:
            self.skipTest(f'cannot mount a small disk: {mounted.stderr.decode().strip()}')
        self.addCleanup(subprocess.run, ['umount', '-l', str(self.folder)], check=True)

    def test_full(self):
        key, data = self.prefix + 'data', os.urandom(PART)
        upload = self.job.begin(key)
        self.assertEqual([self.job.part(key, upload, number, data) for number in range(2)], [204, 204])
        status, _, answer = self.job.request('PUT', f'{key}?upload={upload}&part=2', data)
        self.assertEqual((status, Answer.code(answer)), (507, 'STORAGE_FULL'))
        self.assertIn(str(self.folder), json.loads(answer)['message'])
        self.assertEqual(self.job.code('GET', key), (404, 'RELAY_NOT_FOUND'))
        self.assertEqual(self.job.request('DELETE', f'{key}?upload={upload}')[0], 204)
        self.assertEqual(self.job.put(key, data), 201)


class Listing(Case):
    """Pages in the order of whole keys."""

    def test_pages(self):
        names = ['a', 'a-b', 'a/x', 'a/y', 'a0', 'b/c/d', 'b/c0', 'ü', 'z' * 200]
        self.job = self.make_job(f'{self.node.name}/', GET | PUT)
        # A name cannot be a folder and an object at once.
        names.remove('a')
        keys = sorted((f'{self.node.name}/{name}' for name in names), key=str.encode)
        for key in keys:
            self.assertEqual(self.job.put(key, key.encode()), 201)
        for limit in (1, 2, 3, 8, 100):
            found, cursor = [], ''
            while True:
                data = Answer.data(self.job.request('GET', f'?limit={limit}&cursor={quote(cursor)}')[2])
                self.assertLessEqual(len(data['items']), limit)
                found += [(item['key'], item['size']) for item in data['items']]
                cursor = data['next_cursor']
                if not cursor:
                    break
            self.assertEqual(found, [(key, len(key.encode())) for key in keys], limit)
        below = Answer.data(self.job.request('GET', f'?prefix={self.node.name}/b/')[2])['items']
        self.assertEqual([item['key'] for item in below], [k for k in keys if '/b/' in k])
        nothing = Answer.data(self.job.request('GET', f'?prefix={self.node.name}/none/')[2])
        self.assertEqual(nothing, {'items': [], 'next_cursor': None})
        self.assertEqual(self.job.request('GET', '?limit=0')[0], 400)

    def test_usage(self):
        data = Answer.data(self.job.request('GET', '?usage')[2])
        self.assertTrue(data['writable'])
        self.assertGreater(data['total_bytes'], data['free_bytes'])


if __name__ == '__main__':
    unittest.main()
