#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Questions to nodes: who waits is answered soon, and what nobody waits for any more is not carried out."""

import re
import socket
import sqlite3
import time
import unittest

from agent_fake import FakeNode, in_background
from client import ApiError, Client
from suite import Suite, wait_until

SUITE = Suite(agent=False)


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
