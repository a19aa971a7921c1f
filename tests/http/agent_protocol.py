#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent protocol against the real daemons: what it promises, and what happens to those who break it."""

import contextlib
import json
import re
import socket
import sqlite3
import threading
import time
import unittest

from agent_fake import FakeAgent, FakeNode, in_background, new_public_key, wait_for_waiting
from client import ApiError
from suite import Suite, wait_until

SUITE = Suite(agent=False)


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Case(unittest.TestCase):
    """A node of its own for each test."""

    def setUp(self):
        self.node = FakeNode(SUITE)
        self.agent = self.node.agent
        self.addCleanup(self.node.close)

    def refused(self, status, code, function, *arguments, **more):
        """Checks that a call is refused; gives the error."""
        with self.assertRaises(ApiError) as caught:
            function(*arguments, **more)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
        return caught.exception

    def another_agent(self, **more):
        """A further connection with this node's token."""
        agent = FakeAgent(SUITE, self.agent.token, **more)
        self.addCleanup(agent.close)
        return agent


class Contact(Case):
    """Heartbeats, tokens, keys, instances."""

    def test_self(self):
        data = self.agent.call('GET', 'agent/self')
        self.assertEqual((data['id'], data['name']), (self.node.id, self.node.name))
        self.assertEqual(data['status'], 'online')
        self.assertTrue(data['last_seen'])

    def test_heartbeat_answer(self):
        data = self.agent.heartbeat()
        self.assertRegex(data.pop('clock'), r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d')
        self.assertEqual(set(data.pop('limits').values()), {None})
        self.assertEqual(data, {'interval_s': 15, 'cancel': [], 'token_sealed': None})

    def test_tokens(self):
        for token in ('', 'x', 'bxn_' + 'A' * 43, SUITE.client.token, self.agent.token + 'A'):
            agent = FakeAgent(SUITE, token, self.agent.agent_id)
            for method, path in (('GET', 'agent/self'), ('POST', 'agent/heartbeat')):
                status, _, answer = agent.request(method, path, {} if method == 'POST' else None)
                self.assertEqual((status, answer['code']), (401, 'NODE_TOKEN_INVALID'))
            agent.close()
        status, _, answer = self.agent.request('GET', 'nodes')
        self.assertEqual((status, answer['code']), (401, 'AUTH_INVALID'))
        status, _, _ = self.agent.request('GET', f'relay/{self.node.target}/')
        self.assertEqual(status, 401)

    def test_other_key(self):
        self.agent.heartbeat()
        wait_until(lambda: SUITE.node(self.node.id)['public_key'], what='the pinned key')
        self.refused(409, 'NODE_KEY_MISMATCH', self.agent.heartbeat, public_key=new_public_key())
        self.refused(400, 'FIELD_INVALID', self.agent.heartbeat, public_key='age1nonsense')
        self.agent.heartbeat(public_key=None)

    def test_second_instance(self):
        clone = self.another_agent()
        status, headers, answer = clone.request('POST', 'agent/heartbeat', clone.heartbeat_body())
        self.assertEqual((status, answer['code']), (409, 'NODE_DUPLICATE'))
        self.assertGreater(int(headers['Retry-After']), 0)
        self.refused(409, 'NODE_DUPLICATE', clone.claim)
        self.agent.heartbeat()
        self.assertEqual(self.agent.claim(), [])
        wait_until(
            lambda: self.agent.heartbeat() and SUITE.node(self.node.id)['health'] == 'degraded',
            what='the node being degraded',
            interval=0.5,
        )

    def test_bodies(self):
        good = self.agent.heartbeat_body()
        for field in ('boot_id', 'agent_id', 'version', 'capacity'):
            body = {key: value for key, value in good.items() if key != field}
            status, _, answer = self.agent.request('POST', 'agent/heartbeat', body)
            self.assertEqual((status, answer['code'], answer['field']), (400, 'FIELD_MISSING', field))
        bad = {**good, 'running': [{'command': 1}]}
        status, _, answer = self.agent.request('POST', 'agent/heartbeat', bad)
        self.assertEqual((status, answer['field']), (400, 'running[0].attempt'))
        for body in (b'', b'{', b'[]', b'{} {}', b'{"a":1,"a":2}', b'\xff', b'[' * 100 + b']' * 100):
            status, _, answer = self.agent.request('POST', 'agent/heartbeat', body)
            self.assertEqual(status, 400, body)
        # An agent of a newer version may say more.
        self.agent.heartbeat(future={'a': [1]})

    def test_sizes(self):
        for path, size in (
            ('agent/heartbeat', 65 << 10),
            ('agent/commands/claim', 33 << 10),
            ('agent/commands/1/accept', 2 << 10),
            ('agent/commands/1/progress', 600 << 10),
        ):
            status, _, answer = self.agent.request('POST', path, b' ' * size)
            self.assertEqual((status, answer['code']), (413, 'BODY_TOO_LARGE'), path)
        self.agent.heartbeat()

    def test_rate(self):
        request = (
            'POST /api/v1/agent/heartbeat HTTP/1.1\r\nHost: x\r\n'
            f'Authorization: Bearer {self.agent.token}\r\nContent-Length: 2\r\n\r\n{{}}'
        ).encode()
        count, answers = 2000, b''
        with socket.create_connection(('127.0.0.1', SUITE.port), timeout=60) as line:
            started = time.monotonic()
            # One behind the other without waiting, so that no slow client is the limit.
            sender = threading.Thread(target=line.sendall, args=(request * count,), daemon=True)
            sender.start()
            while answers.count(b'HTTP/1.1 ') < count or not answers.endswith(b'}'):
                part = line.recv(1 << 20)
                self.assertTrue(part, 'the connection was closed')
                answers += part
            sender.join()
        refused, taken = answers.count(b'HTTP/1.1 429 '), answers.count(b'HTTP/1.1 400 ')
        self.assertEqual(taken + refused, count)
        self.assertLessEqual(taken, 600 + 200 * (time.monotonic() - started + 1))
        self.assertEqual(refused > 0, b'Retry-After: 1' in answers)
        wait_until(lambda: self.agent.request('GET', 'agent/self')[0] == 200)

    def raw_heartbeat(self):
        """(head, body) of one, byte by byte."""
        body = json.dumps(self.agent.heartbeat_body()).encode()
        head = (
            'POST /api/v1/agent/heartbeat HTTP/1.1\r\nHost: x\r\n'
            f'Authorization: Bearer {self.agent.token}\r\nContent-Length: {len(body)}\r\n'
        ).encode()
        return head, body

    def test_late_body(self):
        """Who may speak is asked again behind a body that took its time, whoever has changed that meanwhile."""
        head, body = self.raw_heartbeat()

        def answer(change):
            with socket.create_connection(('127.0.0.1', SUITE.port), timeout=60) as line:
                line.sendall(head + b'Expect: 100-continue\r\n\r\n')
                # The head was taken, and the token found to be good.
                self.assertIn(b' 100 ', line.recv(65536))
                line.sendall(body[:1])
                change()
                line.sendall(body[1:])
                return line.recv(65536).split(b' ')[1]

        node = f'nodes/{self.node.id}'
        self.assertEqual(answer(lambda: None), b'200')
        self.assertEqual(answer(lambda: SUITE.client.put(node, {'enabled': False})), b'403')
        SUITE.client.put(node, {'enabled': True})
        self.assertEqual(answer(lambda: self.change('DELETE FROM node_tokens WHERE node_id = ?')), b'401')

    def change(self, sql):
        """A change by another process."""
        with contextlib.closing(sqlite3.connect(SUITE.master_state / 'backupx.db', timeout=60)) as database:
            database.execute(sql, (self.node.id,))
            database.commit()

    def test_changes_count_at_once(self):
        """Whoever made them, and on whatever connection the agent speaks."""
        claim = {'agent_id': self.agent.agent_id, 'capacity': 1}

        def statuses():
            return [
                self.agent.request('POST', 'agent/heartbeat', self.agent.heartbeat_body())[0],
                self.agent.request('POST', 'agent/commands/claim?wait=0', claim)[0],
                self.agent.request('GET', 'agent/self')[0],
            ]

        node = f'nodes/{self.node.id}'
        for _ in range(4):
            self.assertEqual(statuses(), [200, 204, 200])
            self.change('UPDATE nodes SET enabled = 0 WHERE id = ?')
            self.assertEqual(statuses(), 3 * [403])
            SUITE.client.put(node, {'enabled': True})
            self.assertEqual(statuses(), [200, 204, 200])
            SUITE.client.put(node, {'enabled': False})
            self.assertEqual(statuses(), 3 * [403])
            self.change('UPDATE nodes SET enabled = 1 WHERE id = ?')
        self.assertEqual(statuses(), [200, 204, 200])
        self.change('UPDATE node_tokens SET valid_until = 1 WHERE node_id = ?')
        self.assertEqual(statuses(), 3 * [401])
        self.agent.token = SUITE.client.post(f'{node}/rotate-token', {'revoke': True})['token']
        self.assertEqual(statuses(), [200, 204, 200])
        old = self.agent.token
        self.agent.token = SUITE.client.post(f'{node}/rotate-token', {'revoke': True})['token']
        self.assertEqual(statuses(), [200, 204, 200])
        self.agent.token = old
        self.assertEqual(statuses(), 3 * [401])

    def test_pipelined_change(self):
        """One behind the other in the same bytes: the change counts for what follows it."""
        head, body = self.raw_heartbeat()
        text = json.dumps({'enabled': False}).encode()
        change = (
            f'PUT /api/v1/nodes/{self.node.id} HTTP/1.1\r\nHost: x\r\n'
            f'Authorization: Bearer {SUITE.client.token}\r\nContent-Length: {len(text)}\r\n\r\n'
        ).encode() + text
        beat = head + b'\r\n' + body
        last = b'GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
        with socket.create_connection(('127.0.0.1', SUITE.port), timeout=60) as line:
            line.sendall(beat + change + beat + last)
            answers = b''.join(iter(lambda: line.recv(65536), b''))
        found = re.findall(rb'HTTP/1\.1 (\d+) ', answers)
        self.assertEqual(found, [b'200', b'200', b'403', b'404'])

    def test_deleted_node(self):
        node = FakeNode(SUITE)
        self.addCleanup(node.close)
        waiting = in_background(node.agent.claim, 45)
        wait_for_waiting(SUITE)
        SUITE.client.delete(f'tasks/{node.task}')
        SUITE.client.delete(f'nodes/{node.id}')
        again = FakeAgent(SUITE, node.agent.token, node.agent.agent_id)
        self.addCleanup(again.close)
        self.refused(401, 'NODE_TOKEN_INVALID', again.heartbeat)
        self.assertEqual(waiting(), [])


class Delivery(Case):
    """The long poll, and what is delivered again."""

    def test_waits(self):
        self.assertEqual(self.agent.claim(0), [])
        started = time.monotonic()
        self.assertEqual(self.agent.claim(1), [])
        self.assertGreater(time.monotonic() - started, 0.9)
        for wait in ('56', '-1', 'x', ''):
            status, _, answer = self.agent.request(
                'POST', f'agent/commands/claim?wait={wait}', {'agent_id': 'a', 'capacity': 1}
            )
            self.assertEqual((status, answer['code']), (400, 'QUERY_INVALID'))

    def test_wakes(self):
        waiting = in_background(self.agent.claim_one, 50)
        wait_for_waiting(SUITE)
        started = time.monotonic()
        run = SUITE.run_task(self.node.task)
        command = waiting()
        self.assertLess(time.monotonic() - started, 40)
        self.assertEqual((command['spec']['run'], command['attempt'], command['kind']), (run, 1, 'backup'))
        self.assertEqual(command['spec']['node'], {'id': self.node.id, 'name': self.node.name})
        self.assertIsInstance(command['secrets'], str)
        self.assertNotIn('secrets', command['spec'])
        self.agent.accept(command)
        self.assertEqual(SUITE.wait_run(run, ('running',))['attempt'], 1)
        self.agent.result(command)
        self.assertEqual(SUITE.wait_run(run)['state'], 'failed')

    def test_newer_claim_ends_the_older(self):
        older = in_background(self.agent.claim, 50)
        wait_for_waiting(SUITE)
        started = time.monotonic()
        again = self.another_agent(agent_id=self.agent.agent_id)
        newer = in_background(again.claim_one, 50)
        self.assertEqual(older(), [])
        self.assertLess(time.monotonic() - started, 45)
        SUITE.run_task(self.node.task)
        command = newer()
        again.accept(command)
        again.result(command)

    def test_lost_reply(self):
        command = self.node.command()
        # The agent did not get it: it names nothing as held.
        again = self.agent.claim_one(45)
        self.assertEqual((again['id'], again['attempt']), (command['id'], command['attempt'] + 1))
        self.refused(409, 'COMMAND_ATTEMPT_STALE', self.agent.accept, command)
        self.refused(409, 'COMMAND_ATTEMPT_STALE', self.agent.result, command)
        # It got it, but has not accepted yet: it is left alone.
        self.assertEqual(self.agent.claim(0, holding=[(again['id'], again['attempt'])]), [])
        self.agent.accept(again)
        # Accepted commands are never delivered again by a claim.
        self.assertEqual(self.agent.claim(0), [])
        self.agent.result(again)

    def test_dead_peer(self):
        body = json.dumps({'agent_id': self.agent.agent_id, 'capacity': 4}).encode()
        with socket.create_connection(('127.0.0.1', SUITE.port)) as poll:
            poll.sendall(
                b'POST /api/v1/agent/commands/claim?wait=50 HTTP/1.1\r\nHost: x\r\n'
                + f'Authorization: Bearer {self.agent.token}\r\n'.encode()
                + f'Content-Length: {len(body)}\r\n\r\n'.encode()
                + body
            )
            wait_for_waiting(SUITE)
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: SUITE.node(self.node.id)['queue']['pending'] == 1, what='the command')
        # Nothing was spent on the connection that nobody reads.
        command = self.agent.claim_one(45)
        self.assertEqual((command['spec']['run'], command['attempt']), (run, 1))
        self.agent.accept(command)
        self.agent.result(command)

    def test_capacity(self):
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: SUITE.node(self.node.id)['queue']['pending'] == 1, what='the command')
        self.assertEqual(self.agent.claim(0, capacity=0), [])
        command = self.agent.claim_one(20, capacity=1)
        self.assertEqual(command['spec']['run'], run)
        self.agent.accept(command)
        self.agent.result(command)

    def test_features(self):
        """Nobody gets a command of which he would leave out a part: its run ends and says so."""
        SUITE.client.put(f'tasks/{self.node.task}', {'hooks': {'pre': ['freeze']}})
        for features in (None, (), ('x', 'hook', 'hooks2')):
            self.agent.features = features
            waiting = in_background(self.agent.claim, 20)
            wait_for_waiting(SUITE)
            run = SUITE.wait_run(SUITE.run_task(self.node.task))
            self.assertEqual((run['state'], run['error']['code']), ('failed', 'FEATURE_UNSUPPORTED'), features)
            self.assertRegex(run['error']['message'], r"version 0\.1\.0.* 'hooks' .*upgrade the agent")
            queue = SUITE.node(self.node.id)['queue']
            self.assertEqual((queue['pending'], queue['dispatched'], queue['running']), (0, 0, 0))
            # The same poll goes on, and what needs nothing comes.
            name = f'{self.node.name}-{run["id"]}'
            run = SUITE.run_task(SUITE.make_task(['/etc'], [self.node.target], name, node_id=self.node.id))
            (command,) = waiting()
            self.assertEqual(command['spec']['run'], run)
            self.assertNotIn('needs', command['spec'])
            self.agent.accept(command)
            self.agent.result(command)
        self.agent.features = ('x', 'hooks')
        command = self.node.command()
        self.assertEqual((command['spec']['needs'], command['spec']['hooks']['pre']), (['hooks'], ['freeze']))
        self.agent.accept(command)
        self.agent.result(command)

    def test_upgraded_meanwhile(self):
        """Who claims counts, not who spoke before."""
        SUITE.client.put(f'tasks/{self.node.task}', {'hooks': {'pre': ['freeze']}})
        self.agent.features = None
        self.agent.claim()
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: SUITE.node(self.node.id)['queue']['pending'] == 1, what='the command')
        self.agent.features = ('hooks',)
        command = self.agent.claim_one()
        self.assertEqual(command['spec']['run'], run)
        self.agent.accept(command)
        self.agent.result(command)

    def test_api_restart(self):
        command = self.node.command()
        waiting = in_background(self.agent.claim, 50, [(command['id'], command['attempt'])])
        wait_for_waiting(SUITE)
        SUITE.restart('api')
        self.assertEqual(waiting(), [])
        self.agent.close()
        again = self.agent.claim_one(45)
        self.assertEqual((again['id'], again['attempt']), (command['id'], 2))
        self.agent.accept(again)
        SUITE.restart('api', kill=True)
        self.agent.close()
        self.agent.result(again)
        self.assertEqual(SUITE.wait_run(command['spec']['run'])['state'], 'failed')


class Commands(Case):
    """Accept, progress, result."""

    def setUp(self):
        super().setUp()
        self.command = self.node.command()

    def run_of(self):
        """The run behind the command."""
        return self.command['spec']['run']

    def test_accept_twice(self):
        self.assertEqual(self.agent.accept(self.command), {})
        self.assertEqual(self.agent.accept(self.command), {})
        self.refused(409, 'COMMAND_ATTEMPT_STALE', self.agent.accept, self.command, attempt=2)
        self.agent.result(self.command)
        self.refused(410, 'COMMAND_GONE', self.agent.accept, self.command)

    def test_result_twice(self):
        self.agent.accept(self.command)
        self.assertEqual(self.agent.result(self.command), {})
        self.assertEqual(self.agent.result(self.command), {})
        self.assertEqual(self.agent.result(self.command, 'succeeded', result={}), {})
        run = SUITE.wait_run(self.run_of())
        self.assertEqual(run['state'], 'failed')
        self.assertIn('ended by a test', json.dumps(run['error']))

    def test_foreign(self):
        other = FakeNode(SUITE)
        self.addCleanup(other.close)
        for call in (other.agent.accept, other.agent.result, other.agent.progress):
            self.refused(404, 'COMMAND_NOT_FOUND', call, self.command)
        for call in (self.agent.accept, self.agent.result, self.agent.progress):
            self.refused(404, 'COMMAND_NOT_FOUND', call, {'id': 10**9, 'attempt': 1})
        self.agent.accept(self.command)
        self.agent.result(self.command)

    def test_result_that_lies(self):
        """Success without an archive is no success."""
        self.agent.accept(self.command)
        self.agent.result(self.command, 'succeeded', result={'bytes_read': 1})
        self.assertEqual(SUITE.wait_run(self.run_of())['state'], 'failed')

    def test_log_lines(self):
        def lines(first, last):
            return [
                {'seq': n, 't': '2026-11-22T22:15:01Z', 'level': 'info', 'text': f'line {n}'}
                for n in range(first, last + 1)
            ]

        self.agent.accept(self.command)
        self.agent.progress(self.command, log=lines(1, 3))
        self.agent.progress(self.command, log=lines(2, 5))
        self.agent.progress(self.command, log=lines(8, 9))
        self.agent.result(self.command, log=lines(9, 10))
        SUITE.wait_run(self.run_of())
        log = [line for line in SUITE.logs(self.run_of()).splitlines() if line.startswith('line')]
        self.assertEqual(log, [f'line {n}' for n in (1, 2, 3, 4, 5, 8, 9, 10)])

    def test_progress(self):
        self.agent.accept(self.command)
        self.agent.progress(self.command, phase='reading', bytes_read=7, files_done=2, current='/etc/x')
        progress = wait_until(lambda: SUITE.client.get(f'runs/{self.run_of()}')['progress'])
        self.assertEqual((progress['phase'], progress['bytes_read']), ('reading', 7))
        # The run itself and the list show what the newest progress says.
        for run in (SUITE.client.get(f'runs/{self.run_of()}'),
                    next(r for r in SUITE.client.items('runs') if r['id'] == self.run_of())):
            self.assertEqual((run['bytes_read'], run['files']), (7, 2))
        self.agent.result(self.command)
        self.refused(410, 'COMMAND_GONE', self.agent.progress, self.command, phase='reading')

    def test_cancel(self):
        self.agent.accept(self.command)
        SUITE.client.post(f'runs/{self.run_of()}/cancel')
        told = wait_until(lambda: self.agent.heartbeat()['cancel'], what='the cancellation')
        self.assertEqual(told, [self.command['id']])
        self.assertEqual(self.agent.progress(self.command, phase='reading'), {'cancel': True})
        self.agent.result(self.command, 'cancelled')
        self.assertEqual(SUITE.wait_run(self.run_of())['state'], 'cancelled')
        self.assertEqual(self.agent.heartbeat()['cancel'], [])


class Enrolment(Case):
    """Install links and rotation."""

    def link(self, **more):
        """A one-time token for the node."""
        return SUITE.client.post(f'nodes/{self.node.id}/enrollment', {'ttl_s': 600, **more})['token']

    def enroll(self, token, key):
        """Enrols; the answer's data."""
        body = {
            'enrollment_token': token,
            'public_key': key,
            'hostname': 'fake',
            'os': 'Debian',
            'arch': 'x86_64',
            'version': '0.1.0',
        }
        anonymous = FakeAgent(SUITE, 'none')
        self.addCleanup(anonymous.close)
        return anonymous.call('POST', 'agent/enroll', body)

    def test_enroll(self):
        link, key = self.link(), new_public_key()
        data = self.enroll(link, key)
        self.assertEqual(data['node'], {'id': self.node.id, 'name': self.node.name})
        # What the node had before is worth nothing any more.
        self.refused(401, 'NODE_TOKEN_INVALID', self.agent.heartbeat)
        # A lost reply does not burn the link, until the agent was in contact; another key never gets it.
        again = self.enroll(link, key)
        self.assertNotEqual(again['token'], data['token'])
        with self.assertRaises(ApiError) as caught:
            self.enroll(link, new_public_key())
        self.assertEqual(caught.exception.status, 409)
        agent = FakeAgent(SUITE, again['token'], public_key=key)
        self.addCleanup(agent.close)
        agent.heartbeat()
        self.refused(409, 'ENROLLMENT_USED', self.enroll, link, key)

    def test_bad_links(self):
        for token in ('', 'x', 'bxe_' + 'A' * 43, self.agent.token):
            with self.assertRaises(ApiError) as caught:
                self.enroll(token, new_public_key())
            self.assertIn(caught.exception.code, ('ENROLLMENT_INVALID', 'FIELD_INVALID'))
        with self.assertRaises(ApiError) as caught:
            self.enroll(self.link(), 'age1x')
        self.assertEqual(caught.exception.body['field'], 'public_key')

    def test_rotation(self):
        wait_until(lambda: SUITE.node(self.node.id)['public_key'], what='the pinned key')
        token = SUITE.client.post(f'nodes/{self.node.id}/rotate-token')['token']
        self.assertTrue(self.agent.heartbeat()['token_sealed'])
        agent = self.another_agent(agent_id=self.agent.agent_id, public_key=self.agent.public_key)
        agent.token = token
        self.assertIsNone(agent.heartbeat()['token_sealed'])
        # The old one works on for a day, but is handed nothing once the new one was used.
        self.assertIsNone(self.agent.heartbeat()['token_sealed'])


if __name__ == '__main__':
    unittest.main()
