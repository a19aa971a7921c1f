#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Questions to nodes: who waits is answered soon, and what nobody waits for any more is not carried out."""

import base64
import re
import secrets
import socket
import sqlite3
import subprocess
import time
import unittest

from agent_fake import FakeNode, in_background
from client import ApiError, Client
from suite import Suite, wait_until

SUITE = Suite(agent=False)
PASSWORD = 'correct-horse-battery'
SERVER = {'type': 'mysql', 'host': 'db', 'port': 3307, 'user': 'backup'}
ITEMS = [{'name': 'server', 'state': 'error', 'code': 'LOGIN_REFUSED', 'text': 'no', 'hint': None}]


def setUpModule():
    SUITE.start()


def tearDownModule():
    SUITE.close()


class Probes(unittest.TestCase):
    """A node of its own for each test."""

    def setUp(self):
        self.node = FakeNode(SUITE)
        self.agent = self.node.agent
        self.addCleanup(self.node.close)
        self.path = f'nodes/{self.node.id}/directories?path=/srv'

    def ask(self):
        """Asks for a listing in the background, with a client of its own."""
        return in_background(Client(SUITE.server, SUITE.client.token).get, self.path)

    def hang_up(self, path=None):
        """A client that asks and does not stay for the answer."""
        with socket.create_connection(('127.0.0.1', SUITE.port)) as s:
            s.sendall(
                f'GET /api/v1/{path or self.path} HTTP/1.1\r\nHost: x\r\n'
                f'Authorization: Bearer {SUITE.client.token}\r\n\r\n'.encode()
            )
            wait_until(lambda: self.states(), what='the command')  # pylint: disable=unnecessary-lambda
            return self.last()

    def rows(self, columns):
        """Of this node's probes, the oldest first."""
        database = sqlite3.connect(f'file:{SUITE.master_state}/backupx.db?mode=ro', uri=True)
        try:
            return database.execute(
                f'SELECT {columns} FROM commands WHERE node_id = ? AND run_id IS NULL ORDER BY id',
                (self.node.id,),
            ).fetchall()
        finally:
            database.close()

    def states(self):
        """Numbers of the states: 0 pending, 1 dispatched, 2 accepted, 7 cancelled."""
        return [row[0] for row in self.rows('state')]

    def last(self):
        """The id of the newest probe."""
        return self.rows('id')[-1][0]

    @staticmethod
    def waiting_agents():
        """Long polls that wait."""
        text = SUITE.client.raw('GET', '/metrics')[2].decode()
        return int(float(re.search(r'^backupx_waiting_agents (\S+)$', text, re.M).group(1)))

    def refused(self, status, code, function, *arguments):
        """Checks that a call is refused; gives the error."""
        with self.assertRaises(ApiError) as caught:
            function(*arguments)
        self.assertEqual((caught.exception.status, caught.exception.code), (status, code))
        return caught.exception

    def test_answer(self):
        waiting = self.ask()
        command = self.agent.claim_one()
        self.assertEqual(command['kind'], 'list_dir')
        self.assertEqual(command['spec'], {'path': '/srv', 'limit': 1000, 'cursor': ''})
        self.agent.accept(command)
        entry = {'name': 'a', 'path': '/srv/a', 'type': 'file', 'size': 1}
        self.agent.result(command, 'succeeded', result={'entries': [entry], 'next_cursor': 'YQ'})
        self.assertEqual(waiting(), {'items': [entry], 'next_cursor': 'YQ'})

    def test_refusals_of_the_node(self):
        for code, status, told in (
            ('PATH_NOT_FOUND', 404, 'PATH_NOT_FOUND'),
            ('POLICY_DENIED', 403, 'POLICY_DENIED'),
            ('NOT_READABLE', 502, 'PROBE_FAILED'),
        ):
            waiting = self.ask()
            command = self.agent.claim_one()
            self.agent.accept(command)
            self.agent.result(command, error={'code': code, 'message': f'because of {code}'})
            self.assertIn(f'because of {code}', self.refused(status, told, waiting).message)
        waiting = self.ask()
        command = self.agent.claim_one()
        self.agent.accept(command)
        self.agent.result(command, 'succeeded', result={'entries': 'nonsense'})
        self.refused(502, 'PROBE_FAILED', waiting)

    def test_what_is_asked_for(self):
        get = SUITE.client.get
        for query in ('path=relative', 'path=/a/../b', 'path=/a//b', 'limit=0', 'limit=5001', 'limit=x'):
            self.refused(400, 'QUERY_INVALID', get, f'nodes/{self.node.id}/directories?{query}')
        self.refused(404, 'NODE_NOT_FOUND', get, 'nodes/99999/directories')
        self.assertEqual(self.states(), [])

    def test_viewers_do_not_look(self):
        user = {'username': f'viewer-{self.node.name}', 'password': 'a good password', 'role': 'viewer'}
        SUITE.client.post('users', user)
        del user['role']
        viewer = Client(SUITE.server, Client(SUITE.server).post('auth/login', user)['token'])
        self.refused(403, 'FORBIDDEN', viewer.get, self.path)
        self.refused(403, 'FORBIDDEN', viewer.post, 'tasks/test', {'task_id': self.node.task})
        self.refused(403, 'FORBIDDEN', viewer.post, f'nodes/{self.node.id}/discover-databases', {'server': SERVER})

    def test_offline_is_told_at_once(self):
        made = SUITE.client.post('nodes', {'name': f'{self.node.name}-away'})
        start = time.monotonic()
        error = self.refused(
            409, 'NODE_OFFLINE', SUITE.client.get, f'nodes/{made["id"]}/directories'
        )
        self.assertLess(time.monotonic() - start, 12)
        self.assertIn('not online', error.message)

    def test_hang_up_while_it_waits(self):
        """Before any agent has it: no agent gets it."""
        command = self.hang_up()
        wait_until(lambda: self.states() == [7], what='the end of the command')
        self.assertEqual(self.agent.claim(), [])
        self.refused(410, 'COMMAND_GONE', self.agent.accept, {'id': command, 'attempt': 1}, 1)

    def test_hang_up_after_the_delivery(self):
        """Delivered, not accepted: accepting it is refused, so that it is not begun."""
        claim = in_background(self.agent.claim_one)
        with socket.create_connection(('127.0.0.1', SUITE.port)) as s:
            s.sendall(
                f'GET /api/v1/{self.path} HTTP/1.1\r\nHost: x\r\n'
                f'Authorization: Bearer {SUITE.client.token}\r\n\r\n'.encode()
            )
            command = claim()
            self.assertEqual(self.states(), [1])
        wait_until(lambda: self.states() == [7], what='the end of the command')
        self.refused(410, 'COMMAND_GONE', self.agent.accept, command)

    def test_hang_up_while_it_runs(self):
        """Accepted: the agent is told to end it, at once by the claim that waits, and with its heartbeats."""
        claim = in_background(self.agent.claim_one)
        with socket.create_connection(('127.0.0.1', SUITE.port)) as s:
            s.sendall(
                f'GET /api/v1/{self.path} HTTP/1.1\r\nHost: x\r\n'
                f'Authorization: Bearer {SUITE.client.token}\r\n\r\n'.encode()
            )
            command = claim()
            self.agent.accept(command)
            held = [(command['id'], command['attempt'])]
            waiting = in_background(self.agent.claim_answer, 50, held)
            wait_until(lambda: self.waiting_agents() > 0, what='the claim')
        start = time.monotonic()
        self.assertEqual(waiting(), {'commands': [], 'cancel': [command['id']]})
        self.assertLess(time.monotonic() - start, 10, 'it waited for something else')
        # Once this way: whoever claims on without ending it does not go round in circles.
        self.assertIsNone(self.agent.claim_answer(0, held))
        running = [{'command': command['id'], 'attempt': command['attempt']}]
        wait_until(
            lambda: self.agent.heartbeat(running=running)['cancel'] == [command['id']],
            what='the cancellation',
        )
        self.agent.result(command, 'cancelled')
        wait_until(lambda: self.states() == [7], what='the end of the command')

    def put(self, path, body):
        """Asks with a body in the background, with a client of its own."""
        return in_background(Client(SUITE.server, SUITE.client.token).post, path, body)

    def assert_sealed(self, command):
        """The node gets something sealed, and the password is nowhere to be read."""
        sealed = base64.b64decode(command['secrets'])
        self.assertTrue(sealed.startswith(b'age-encryption.org/v1\n'), sealed[:40])
        self.assertNotIn(PASSWORD, str(command))
        found = subprocess.run(['grep', '-rlaF', PASSWORD, str(SUITE.folder), str(SUITE.run)],
                               capture_output=True, check=False, text=True)
        self.assertEqual(found.stdout, '')

    def server_task(self, node=None, **more):
        """A task of databases, with a password."""
        where = {key: value for key, value in SERVER.items() if key != 'type'}
        body = {'name': f'{self.node.name}-{secrets.token_hex(4)}', 'type': 'mysql', 'source': {'server': where},
                'secrets': {'password': PASSWORD}, 'target_ids': [self.node.target],
                **({'node_id': node or self.node.id} if 'node_label' not in more else {}), **more}
        return SUITE.client.post('tasks', body)['id']

    def answer_server(self, command):
        """As an agent whose server refuses the login."""
        self.assertEqual(command['kind'], 'discover_databases')
        self.assertEqual(command['spec']['server'], SERVER)
        self.assert_sealed(command)
        told = {'type': 'mysql', 'version': None, 'databases': [], 'more': False, 'items': ITEMS, 'else': 1}
        self.agent.accept(command)
        self.agent.result(command, 'succeeded', result={
            'servers': [], 'sqlite': [], 'tools': {}, 'incomplete': False, 'server': told})

    def test_server_of_databases(self):
        """With a password that is entered, and with that of a task."""
        path = f'nodes/{self.node.id}/discover-databases'
        for body in ({'server': SERVER, 'secrets': {'password': PASSWORD}}, {'task_id': self.server_task()}):
            waiting = self.put(path, body)
            self.answer_server(self.agent.claim_one())
            self.assertEqual(waiting(), {'servers': [], 'sqlite': [], 'tools': {}, 'incomplete': False, 'server': {
                'type': 'mysql', 'version': None, 'databases': [], 'more': False, 'items': ITEMS,
                'state': 'error', 'summary': '1 error: server: no'}})
        # An agent that does not know what it is asked tells of the whole host.
        for told, word in ((None, 'upgrade'), ({'type': 'mysql'}, 'not one of a server')):
            waiting = self.put(path, {'server': SERVER})
            command = self.agent.claim_one()
            self.agent.accept(command)
            self.agent.result(command, 'succeeded', result={
                'servers': [], 'sqlite': [], 'tools': {}, 'incomplete': False, **({'server': told} if told else {})})
            self.assertIn(word, self.refused(502, 'PROBE_FAILED', waiting).message)

    def noted(self, action, object_id):
        """What the audit has of it, the newest first: who, from where, name, detail."""
        rows = SUITE.client.get(f'audit?action={action}&object_id={object_id}')['items']
        return [(row['username'], row['address'], row['object_name'], row['detail']) for row in rows]

    def test_who_asked_a_server_is_noted(self):
        """With which password is not. What is seen without a login is not noted, nor what is refused."""
        path, task = f'nodes/{self.node.id}/discover-databases', self.server_task()
        for body in ({'server': SERVER, 'secrets': {'password': PASSWORD}}, {'task_id': task}):
            waiting = self.put(path, body)
            self.answer_server(self.agent.claim_one())
            waiting()
        waiting = self.put(path, {})
        command = self.agent.claim_one()
        self.agent.accept(command)
        self.agent.result(command, 'succeeded', result={'servers': [], 'sqlite': [], 'tools': {}, 'incomplete': False})
        waiting()
        self.refused(404, 'TASK_NOT_FOUND', SUITE.client.post, path, {'task_id': 99999})
        kept = {key: value for key, value in SERVER.items() if key != 'type'}
        self.assertEqual(self.noted('node.discover', self.node.id), [
            ('admin', '127.0.0.1', self.node.name, {'task_id': task, 'server': kept}),
            ('admin', '127.0.0.1', self.node.name, {'server': SERVER})])

    def test_who_tried_a_task_is_noted(self):
        """One that is there, and one that is being written."""
        task = self.server_task()
        self.try_task({'task_id': task})
        self.refused(400, 'FIELD_INVALID', SUITE.client.post, 'tasks/test', {'task_id': task, 'node_id': 1})
        kept = {key: value for key, value in SERVER.items() if key != 'type'}
        name = SUITE.client.get(f'tasks/{task}')['name']
        detail = {'node_id': self.node.id, 'type': 'mysql', 'server': kept}
        self.assertEqual(self.noted('task.test', task), [('admin', '127.0.0.1', name, detail)])
        self.try_task({'task': {'node_id': self.node.id, 'source': {'paths': ['/opt']}}})
        row, = SUITE.client.get('audit?action=task.test&limit=1')['items']
        self.assertEqual((row['object_id'], row['object_name'], row['detail']),
                         (None, 'new', {'node_id': self.node.id, 'type': 'file'}))

    def test_servers_that_are_not_asked(self):
        path = f'nodes/{self.node.id}/discover-databases'
        for body, field in (({'server': {**SERVER, 'type': 'sqlite'}}, 'server.type'),
                            ({'server': {**SERVER, 'password': 'x'}}, 'server.password'),
                            ({'server': {**SERVER, 'socket': '/s'}}, 'server.host'),
                            ({'secrets': {'password': 'x'}}, 'secrets'),
                            ({'server': SERVER, 'secrets': {'password': 'a\nb'}}, 'secrets.password'),
                            ({'server': SERVER, 'secrets': {'token': 'x'}}, 'secrets.token'),
                            ({'server': SERVER, 'task_id': 1}, 'task_id')):
            error = self.refused(400, 'FIELD_UNKNOWN' if field in ('server.password', 'secrets.token')
                                 else 'FIELD_INVALID', SUITE.client.post, path, body)
            self.assertEqual(error.body['field'], field)
        self.refused(404, 'TASK_NOT_FOUND', SUITE.client.post, path, {'task_id': 99999})
        self.refused(409, 'CONFLICT', SUITE.client.post, path, {'task_id': self.node.task})
        # The password of a task is for the nodes where it runs.
        other = SUITE.client.post('nodes', {'name': f'{self.node.name}-other'})['id']
        error = self.refused(409, 'CONFLICT', SUITE.client.post, path, {'task_id': self.server_task(other)})
        self.assertIn('does not run on the node', error.message)
        self.assertEqual(self.states(), [])

    def try_task(self, body, items=()):
        """Asks for a test of a task and answers it as its node; (command, report)."""
        waiting = self.put('tasks/test', body)
        command = self.agent.claim_one()
        self.assertEqual(command['kind'], 'test_task')
        self.agent.accept(command)
        self.agent.result(command, 'succeeded', result={'items': list(items)})
        return command, waiting()

    def test_task_tests(self):
        """Of a task that is there, with changes, and of one that has no name and no targets yet."""
        command, report = self.try_task({'task_id': self.node.task})
        self.assertEqual(report, {'ok': True, 'state': 'ok', 'summary': None, 'node_id': self.node.id, 'items': []})
        target, = command['spec'].pop('targets')
        self.assertEqual((target['id'], target['type']), (self.node.target, 'local'))
        self.assertEqual(command['spec'], {'type': 'file', 'source': {'paths': ['/etc']}})
        changes = {'source': {'paths': ['/srv']}, 'hooks': {'pre': ['freeze']}}
        command, report = self.try_task({'task_id': self.node.task, 'task': changes}, ITEMS)
        self.assertEqual((report['ok'], report['state'], report['items']), (False, 'error', ITEMS))
        self.assertEqual(command['spec']['source'], {'paths': ['/srv']})
        self.assertEqual(command['spec']['hooks']['pre'], ['freeze'])
        self.assertEqual(SUITE.client.get(f'tasks/{self.node.task}')['source']['paths'], ['/etc'])
        draft = {'node_id': self.node.id, 'source': {'paths': ['/opt']}}
        command, report = self.try_task({'task': draft})
        self.assertEqual(command['spec'], {'type': 'file', 'source': {'paths': ['/opt']}, 'targets': []})
        self.assertTrue(report['ok'])

    def test_task_tests_with_passwords(self):
        """Entered, or kept: for the task's own server."""
        task = self.server_task()
        for body in ({'task_id': task}, {'task_id': task, 'task': {'source': {
                'server': {'host': 'elsewhere', 'user': 'x'}}, 'secrets': {'password': PASSWORD}}}):
            command, _ = self.try_task(body)
            self.assert_sealed(command)
        self.assertEqual(command['spec']['source']['server'], {'host': 'elsewhere', 'user': 'x'})

    def test_task_tests_in_a_pool(self):
        """On the node with the label that is online, or the one that is named."""
        label = self.node.name
        SUITE.client.put(f'nodes/{self.node.id}', {'labels': [label]})
        task = self.server_task(node_label=label)
        for body in ({'task_id': task}, {'task_id': task, 'node_id': self.node.id}):
            self.assertEqual(self.try_task(body)[1]['node_id'], self.node.id)
        error = self.refused(400, 'FIELD_INVALID', SUITE.client.post, 'tasks/test', {'task_id': task, 'node_id': 1})
        self.assertEqual(error.body['field'], 'node_id')
        draft = {'node_label': 'nobody-has-it', 'source': {'paths': ['/opt']}}
        self.refused(409, 'NODE_OFFLINE', SUITE.client.post, 'tasks/test', {'task': draft})

    def test_task_tests_that_are_refused(self):
        for body, status, code, field in (
                ({}, 400, 'FIELD_MISSING', 'task'),
                ({'task': 7}, 400, 'FIELD_INVALID', 'task'),
                ({'task': {}}, 400, 'FIELD_MISSING', 'source'),
                ({'task': {'source': {'paths': []}}}, 400, 'FIELD_INVALID', 'source.paths'),
                ({'task': {'source': {'paths': ['/a']}, 'colour': 1}}, 400, 'FIELD_UNKNOWN', 'colour'),
                ({'task_id': self.node.task, 'node_id': 1}, 400, 'FIELD_INVALID', 'node_id'),
                ({'task_id': self.server_task(), 'task': {'source': {'server': {'host': 'x', 'user': 'y'}}}},
                 400, 'SECRET_NEEDED_AGAIN', 'secrets'),
                ({'task_id': 99999}, 404, 'TASK_NOT_FOUND', 'task_id')):
            error = self.refused(status, code, SUITE.client.post, 'tasks/test', body)
            self.assertEqual(error.body.get('field'), field, body)
        draft = {'node_id': self.node.id, 'source': {'paths': ['/a']}, 'target_ids': [99999]}
        self.assertIn('99999', self.refused(404, 'NOT_FOUND', SUITE.client.post, 'tasks/test', {'task': draft}).message)
        self.assertEqual(self.states(), [])
        waiting = self.put('tasks/test', {'task_id': self.node.task})
        command = self.agent.claim_one()
        self.agent.accept(command)
        self.agent.result(command, 'succeeded', result={'items': 'nonsense'})
        self.refused(502, 'PROBE_FAILED', waiting)

    def test_the_limit(self):
        """After 15 s nobody waits, and nothing is left to be carried out."""
        start = time.monotonic()
        client = Client(SUITE.server, SUITE.client.token)
        test = in_background(
            client.post, f'targets/{self.node.target}/test', {'node_id': self.node.id}
        )
        for waiting in (self.ask(), test):
            error = self.refused(504, 'PROBE_TIMEOUT', waiting)
            self.assertGreater(time.monotonic() - start, 14)
            self.assertIn('15 s', error.message)
        wait_until(lambda: self.states() == [7, 7], what='the end of the commands')
        self.assertEqual(self.agent.claim(), [])

    def test_probes_have_places_of_their_own(self):
        """A node that takes no backup now still takes a probe."""
        waiting = self.ask()
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: self.states() == [0], what='the probe')
        body = {'agent_id': self.agent.agent_id, 'capacity': 0, 'probes': 1, 'holding': []}
        data = self.agent.call('POST', 'agent/commands/claim?wait=10', body)
        self.assertEqual([c['kind'] for c in data['commands']], ['list_dir'])
        self.agent.accept(data['commands'][0])
        self.agent.result(data['commands'][0], 'succeeded', result={'entries': [], 'next_cursor': None})
        self.assertEqual(waiting()['items'], [])
        self.agent.result(self.agent.claim_one())
        self.assertEqual(SUITE.wait_run(run)['state'], 'failed')

    def test_an_answer_after_the_end(self):
        """It is acknowledged and goes nowhere."""
        claim = in_background(self.agent.claim_one)
        with socket.create_connection(('127.0.0.1', SUITE.port)) as s:
            s.sendall(
                f'GET /api/v1/{self.path} HTTP/1.1\r\nHost: x\r\n'
                f'Authorization: Bearer {SUITE.client.token}\r\n\r\n'.encode()
            )
            command = claim()
        wait_until(lambda: self.states() == [7], what='the end of the command')
        self.agent.result(command, 'succeeded', result={'entries': []})
        self.assertEqual(self.states(), [7])


if __name__ == '__main__':
    unittest.main()
