#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nodes as people see them: settings, tokens, health, pools, and the truth about what waits. The daemons are
real; their clocks are moved on by the test (clock-shim), so that a day passes in a second."""

import contextlib
import datetime
import json
import os
import sqlite3
import tempfile
import time
import unittest
import pathlib

from agent_fake import FakeAgent, FakeNode, new_public_key, wait_for_waiting
from agent_protocol import in_background
from client import ApiError
from suite import Suite, build_folder, wait_until

CLOCKS = pathlib.Path(tempfile.mkdtemp(prefix='backupx-clocks-'))
SUITE = Suite(
    agent=False,
    environment={
        'LD_PRELOAD': build_folder() / 'tests' / 'bus' / 'libclock-shim.so',
        'BACKUPX_TEST_CLOCK': CLOCKS / 'wall',
        'BACKUPX_TEST_MONOTONIC': CLOCKS / 'monotonic',
        'ASAN_OPTIONS': 'verify_asan_link_order=0',
    },
)
LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
HOUR = 3600
DAY = 24 * HOUR


def setUpModule():
    for name in ('wall', 'monotonic'):
        (CLOCKS / name).write_text('0')
    SUITE.start()


def tearDownModule():
    SUITE.close()
    for file in CLOCKS.iterdir():
        file.unlink()
    CLOCKS.rmdir()


def database(statement, *values):
    """Reads the database, or changes it behind everybody's back."""
    with contextlib.closing(sqlite3.connect(SUITE.master_state / 'backupx.db', timeout=60)) as connection:
        with connection:
            return connection.execute(statement, values).fetchall()


def move(name, seconds):
    """Moves a clock of the daemons on, in one step, and waits until they have lived with it."""
    file = CLOCKS / name
    offset = int(file.read_text()) + seconds
    fresh = file.with_suffix('.new')
    fresh.write_text(str(offset))
    fresh.rename(file)
    if name == 'monotonic':
        limit = (time.monotonic() + offset) * 1e6
        wait_until(
            lambda: database('SELECT mono FROM api_stamp')[0][0] >= limit, what='the API living with the clock'
        )


def wall_now():
    """The time as the daemons see it."""
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(
        seconds=int((CLOCKS / 'wall').read_text())
    )


class Case(unittest.TestCase):
    """A node of its own for each test; clocks that only go on."""

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

    def make_node(self, **settings):
        """Another node."""
        node = FakeNode(SUITE)
        self.addCleanup(node.close)
        if settings:
            SUITE.client.put(f'nodes/{node.id}', settings)
        return node

    def put(self, **settings):
        """Changes the node."""
        return SUITE.client.put(f'nodes/{self.node.id}', settings)

    def shown(self):
        """The node as it is shown."""
        return SUITE.client.get(f'nodes/{self.node.id}')

    def beat(self, **more):
        """A heartbeat over a fresh connection: the old one may have timed out with the clock."""
        self.agent.close()
        clock = wall_now().strftime('%Y-%m-%dT%H:%M:%SZ')
        return self.agent.heartbeat(**{'clock': clock, **more})

    def reasons(self):
        """The codes of what is wrong with the node."""
        return [reason['code'] for reason in self.shown()['health_reasons']]

    def wait_reasons(self, *codes):
        """Waits until these are the reasons."""
        wait_until(lambda: self.reasons() == list(codes), what=f'the reasons {codes}', interval=0.1)


class Settings(Case):
    """What an administrator sets."""

    def test_settings(self):
        self.assertEqual(
            self.shown()['limits'], {'jobs': None, 'bandwidth': None, 'cpu_weight': None, 'io_weight': None}
        )
        limits = {'jobs': 2, 'bandwidth': 1 << 20, 'cpu_weight': 50, 'io_weight': 10}
        shown = self.put(labels=['web', 'db', 'eu-1'], limits=limits)
        self.assertEqual((shown['labels'], shown['limits']), (['db', 'eu-1', 'web'], limits))
        # The agent hears its limits with each heartbeat.
        self.assertEqual(self.agent.heartbeat()['limits'], limits)
        shown = self.put(labels=[], limits={'jobs': 3})
        self.assertEqual((shown['labels'], shown['limits']), ([], {**dict.fromkeys(limits), 'jobs': 3}))
        self.assertEqual(self.put(description='x')['limits']['jobs'], 3)
        for bad in (['DB'], ['a b'], ['-a'], ['a', 'a'], ['a' * 64], [f'l{n}' for n in range(33)], 'db', [1]):
            error = self.refused(400, 'FIELD_INVALID', self.put, labels=bad)
            self.assertTrue(error.body['field'].startswith('labels'), error.body)
        for bad in ({'jobs': 65}, {'bandwidth': 1000}, {'cpu_weight': 10001}, {'io_weight': -1}, {'jobs': 'x'}):
            error = self.refused(400, 'FIELD_INVALID', self.put, limits=bad)
            self.assertEqual(error.body['field'], f'limits.{next(iter(bad))}')
        self.refused(400, 'FIELD_UNKNOWN', self.put, limits={'memory': 1})

    def test_new_with_settings(self):
        made = SUITE.client.post('nodes', {'name': f'{self.node.name}-b', 'labels': ['db'], 'enabled': False})
        self.assertEqual((made['labels'], made['enabled']), (['db'], False))
        SUITE.client.delete(f'nodes/{made["id"]}')

    def test_disabled(self):
        command = self.node.command()
        self.agent.accept(command)
        run = command['spec']['run']
        SUITE.wait_run(run, ('running',))
        waiting = in_background(self.agent.claim, 50, [(command['id'], command['attempt'])])
        wait_for_waiting(SUITE)
        start = time.monotonic()
        self.assertFalse(self.put(enabled=False)['enabled'])
        # The waiting agent comes again, and is told in so many words; all of its routes are closed.
        self.assertEqual(waiting(), [])
        self.assertLess(time.monotonic() - start, 45)
        status, headers, answer = self.agent.request('POST', 'agent/heartbeat', self.agent.heartbeat_body())
        self.assertEqual((status, answer['code']), (403, 'NODE_DISABLED'))
        self.assertEqual(int(headers['Retry-After']), 60)
        for call in (self.agent.claim, self.agent.heartbeat):
            self.refused(403, 'NODE_DISABLED', call)
        self.refused(403, 'NODE_DISABLED', self.agent.result, command)
        self.refused(403, 'NODE_DISABLED', self.agent.call, 'GET', 'agent/self')
        # What ran there ended, and says why.
        ended = SUITE.wait_run(run)
        self.assertEqual((ended['state'], ended['error']['code']), ('interrupted', 'NODE_DISABLED'))
        self.wait_reasons('DISABLED')
        self.assertEqual((self.shown()['status'], self.shown()['health']), ('offline', 'offline'))
        # What is queued meanwhile waits, and is there when it is enabled again.
        waits = SUITE.run_task(self.node.task)
        self.put(enabled=True)
        self.beat()
        again = self.agent.claim_one(45)
        self.assertEqual(again['spec']['run'], waits)
        # The result of before is acknowledged and ignored.
        self.assertEqual(self.agent.result(command, 'succeeded', result={}), {})
        self.assertEqual(SUITE.client.get(f'runs/{run}')['state'], 'interrupted')
        self.agent.accept(again)
        self.agent.result(again)
        self.wait_reasons()
        audit = SUITE.client.get(f'audit?object_type=node&object_id={self.node.id}')['items']
        actions = [row['action'] for row in audit]
        self.assertIn('node.disable', actions)
        self.assertIn('node.enable', actions)

    def test_drained(self):
        shown = SUITE.client.post(f'nodes/{self.node.id}/drain')
        self.assertTrue(shown['draining'])
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: self.shown()['queue']['pending'] == 1, what='the command')
        self.assertEqual(self.agent.claim(0), [])
        self.assertFalse(SUITE.client.post(f'nodes/{self.node.id}/undrain')['draining'])
        command = self.agent.claim_one(45)
        self.assertEqual(command['spec']['run'], run)
        self.agent.accept(command)
        self.agent.result(command)

    def test_delete(self):
        error = self.refused(409, 'NODE_IN_USE', SUITE.client.delete, f'nodes/{self.node.id}')
        name = f'{self.node.name}-task'
        self.assertIn(name, error.body['message'])
        self.assertEqual(error.body['tasks'], [{'id': self.node.task, 'name': name}])
        self.assertIs(error.body['more'], False)
        self.assertTrue(database('SELECT 1 FROM node_tokens WHERE node_id = ?', self.node.id))
        SUITE.client.post(f'nodes/{self.node.id}/enrollment', {})
        SUITE.client.delete(f'tasks/{self.node.task}')
        SUITE.client.delete(f'nodes/{self.node.id}')
        for table in ('node_tokens', 'enrollments', 'commands'):
            self.assertEqual(database(f'SELECT 1 FROM {table} WHERE node_id = ?', self.node.id), [], table)


class Tokens(Case):
    """Rotation, with a day that passes; identity."""

    def rotate(self, **body):
        """A new token."""
        return SUITE.client.post(f'nodes/{self.node.id}/rotate-token', body)

    def test_day(self):
        wait_until(lambda: self.shown()['public_key'], what='the pinned key')
        command = self.node.command()
        self.agent.accept(command)
        new = self.rotate()
        self.assertTrue(new['handed_over'])
        left = datetime.datetime.fromisoformat(new['old_valid_until'].replace('Z', '+00:00')) - wall_now()
        self.assertAlmostEqual(left.total_seconds(), DAY, delta=60)
        # The old token works for a day: for the command that runs, too.
        self.assertTrue(self.beat()['token_sealed'])
        self.agent.progress(command, phase='reading', bytes_read=1)
        move('wall', DAY - 5 * 60)
        self.assertTrue(self.beat()['token_sealed'])
        self.agent.result(command)
        self.assertEqual(SUITE.wait_run(command['spec']['run'])['error']['code'], 'TEST')
        # An agent that does not take the new one over is told of before its token ends.
        self.wait_reasons('TOKEN_OLD')
        move('wall', 6 * 60)
        self.refused(401, 'NODE_TOKEN_INVALID', self.beat)
        self.agent.token = new['token']
        self.assertIsNone(self.beat()['token_sealed'])
        self.wait_reasons()

    def test_without_key(self):
        made = SUITE.client.post('nodes', {'name': f'{self.node.name}-b'})
        new = SUITE.client.post(f'nodes/{made["id"]}/rotate-token')
        self.assertFalse(new['handed_over'])
        self.assertIn('No key', new['notice'])
        SUITE.client.delete(f'nodes/{made["id"]}')

    def test_revoked(self):
        new = self.rotate(revoke=True)
        self.assertFalse(new['handed_over'])
        self.refused(401, 'NODE_TOKEN_INVALID', self.agent.heartbeat)

    def test_reset(self):
        wait_until(lambda: self.shown()['public_key'], what='the pinned key')
        other, third = new_public_key(), new_public_key()
        self.refused(409, 'NODE_KEY_MISMATCH', self.agent.heartbeat, public_key=other)
        SUITE.client.post(f'nodes/{self.node.id}/reset-identity')
        # The token is valid still, and one other key may come, once.
        self.agent.heartbeat(public_key=other)
        wait_until(lambda: self.shown()['public_key'] == other, what='the new key')
        self.refused(409, 'NODE_KEY_MISMATCH', self.agent.heartbeat, public_key=third)
        SUITE.client.post(f'nodes/{self.node.id}/reset-identity', {'revoke': True})
        self.refused(401, 'NODE_TOKEN_INVALID', self.agent.heartbeat, public_key=third)


class Health(Case):
    """Reasons come, and go with their causes."""

    def test_offline(self):
        self.beat()
        def silence():
            stamps = 'SELECT (s.mono - n.mono) / 1000000 FROM api_stamp s, node_heard n WHERE n.node_id = ?'
            return database(stamps, self.node.id)[0][0]

        # In small steps: to the API a jump is a machine that slept, and such silence counts for nothing.
        steps = 0
        while True:
            status = self.shown()['status']
            if silence() >= 45:  # asked after the status: that was of a moment before
                break
            self.assertEqual(status, 'online')
            move('monotonic', 3)
            steps += 1
        self.assertGreater(steps, 3)
        wait_until(lambda: self.shown()['status'] == 'offline', what='the node being offline')
        self.assertEqual(self.reasons(), ['SILENT'])
        self.assertEqual(self.shown()['health'], 'offline')
        self.beat()
        wait_until(lambda: self.shown()['status'] == 'online', what='the node being online')
        self.wait_reasons()
        self.assertEqual((self.shown()['health'], self.shown()['health_reason']), ('healthy', None))

    def test_clone(self):
        clone = FakeAgent(SUITE, self.agent.token)
        self.addCleanup(clone.close)
        self.beat()
        self.refused(409, 'NODE_DUPLICATE', clone.heartbeat)
        self.refused(409, 'NODE_DUPLICATE', clone.claim)
        self.wait_reasons('DUPLICATE')
        # It is switched off: two minutes later nobody speaks of it any more.
        for _ in range(5):
            move('monotonic', 30)
            self.beat()
        self.wait_reasons()

    def test_reasons(self):
        hour_off = (wall_now() + datetime.timedelta(hours=1)).strftime('%Y-%m-%dT%H:%M:%SZ')
        self.beat(clock=hour_off, free_bytes=1 << 20)
        self.wait_reasons('CLOCK_SKEW', 'DISK_LOW')
        self.assertEqual(self.shown()['health'], 'degraded')
        since = {reason['code']: reason['since'] for reason in self.shown()['health_reasons']}
        self.beat(free_bytes=1 << 20)
        self.wait_reasons('DISK_LOW')
        self.assertEqual(self.shown()['health_reasons'][0]['since'], since['DISK_LOW'])
        self.beat()
        self.wait_reasons()
        self.assertEqual(self.shown()['health'], 'healthy')

    def test_other_key(self):
        wait_until(lambda: self.shown()['public_key'], what='the pinned key')
        self.beat()  # by the clock of the daemons
        self.wait_reasons()
        self.refused(409, 'NODE_KEY_MISMATCH', self.beat, public_key=new_public_key())
        self.wait_reasons('KEY_MISMATCH')
        self.beat()
        self.wait_reasons()


    def test_claims_with_another_key(self):
        """Who shows another key gets no command, waiting or not, and does not keep the right one out."""
        wait_until(lambda: self.shown()['public_key'], what='the pinned key')
        same = FakeAgent(SUITE, self.agent.token, agent_id=self.agent.agent_id)
        self.addCleanup(same.close)
        waiting = FakeAgent(SUITE, self.agent.token, agent_id=self.agent.agent_id)
        self.addCleanup(waiting.close)
        claim = in_background(waiting.claim, 30)
        self.refused(409, 'NODE_KEY_MISMATCH', same.heartbeat)
        run = SUITE.run_task(self.node.task)
        try:
            self.assertEqual(claim(20), [])
        except ApiError as error:  # it came only then
            self.assertEqual(error.code, 'NODE_KEY_MISMATCH')
        self.refused(409, 'NODE_KEY_MISMATCH', same.claim)
        self.beat()
        command = self.agent.claim_one(45)
        self.assertEqual(command['spec']['run'], run)
        self.agent.accept(command)
        self.agent.result(command)
        # A minute of silence lets another instance in, but not one with another key.
        other = FakeAgent(SUITE, self.agent.token)
        self.addCleanup(other.close)
        move('monotonic', 60)
        self.refused(409, 'NODE_KEY_MISMATCH', other.heartbeat)
        self.refused(409, 'NODE_KEY_MISMATCH', other.claim)
        self.beat()
        self.wait_reasons()


class Pools(Case):
    """Tasks that name a label."""

    def setUp(self):
        super().setUp()
        self.label = f'pool-{self.node.id}'
        self.put(labels=[self.label])
        self.task = SUITE.client.post(
            'tasks',
            {
                'name': f'{self.node.name}-pool',
                'node_label': self.label,
                'source': {'paths': ['/etc']},
                'target_ids': [self.node.target],
            },
        )

    def run_task(self):
        """Starts the task."""
        return SUITE.client.post(f'tasks/{self.task["id"]}/run')['run_id']

    def end(self, node, command):
        """Ends a command on a node."""
        node.agent.accept(command)
        node.agent.result(command)

    def test_task(self):
        self.assertEqual((self.task['node_id'], self.task['node_label']), (None, self.label))
        path = f'tasks/{self.task["id"]}'
        both = {'node_id': self.node.id, 'node_label': self.label}
        self.refused(400, 'FIELD_INVALID', SUITE.client.put, path, both)
        self.refused(400, 'FIELD_INVALID', SUITE.client.put, path, {'node_label': 'No Label'})
        changed = SUITE.client.put(path, {'node_id': self.node.id})
        self.assertEqual((changed['node_id'], changed['node_label']), (self.node.id, None))
        changed = SUITE.client.put(path, {'node_label': 'x'})
        self.assertEqual((changed['node_id'], changed['node_label']), (None, 'x'))
        self.assertEqual(SUITE.client.put(path, {'enabled': False})['node_label'], 'x')
        listed = SUITE.client.get('tasks?node_id=1')['items']
        self.assertNotIn(self.task['id'], [task['id'] for task in listed])

    def test_least_loaded(self):
        other = self.make_node(labels=[self.label, 'other'])
        SUITE.run_task(self.node.task)
        wait_until(lambda: self.shown()['queue']['pending'] == 1, what='the first command')
        run = self.run_task()
        command = other.agent.claim_one(45)
        shown = SUITE.client.get(f'runs/{run}')
        self.assertEqual((command['spec']['run'], shown['node_id'], shown['node_name']), (run, other.id, other.name))
        self.assertEqual(command['spec']['node'], {'id': other.id, 'name': other.name})
        self.assertTrue(command['spec']['targets'][0]['prefix'].startswith(f'{other.name}/'))
        self.end(other, command)
        self.end(self.node, self.agent.claim_one(45))

    def test_none_online(self):
        SUITE.client.post(f'nodes/{self.node.id}/drain')
        run = self.run_task()
        why = wait_until(lambda: SUITE.client.get(f'runs/{run}')['waiting_for'], what='the reason')
        self.assertIn(f"'{self.label}'", why)
        self.assertIn('1 drained', why)
        shown = SUITE.client.get(f'runs/{run}')
        self.assertEqual((shown['state'], shown['node_id'], shown['node_label']), ('queued', None, self.label))
        self.assertIn(why, SUITE.logs(run))
        waits = [item for item in SUITE.client.get('queue')['unassigned'] if item['run_id'] == run]
        self.assertEqual((waits[0]['waits_for'], waits[0]['command_id']), (why, None))
        SUITE.client.post(f'nodes/{self.node.id}/undrain')
        command = self.agent.claim_one(45)
        self.assertEqual(command['spec']['run'], run)
        self.assertNotEqual(SUITE.client.get(f'runs/{run}')['waiting_for'], why)
        self.end(self.node, command)
        self.assertEqual(SUITE.wait_run(run)['node_id'], self.node.id)

    def test_node_goes_away(self):
        """What waited for a node that went away goes to another one of the pool."""
        run = self.run_task()
        wait_until(lambda: SUITE.client.get(f'runs/{run}')['node_id'] == self.node.id, what='the choice')
        other = self.make_node(labels=[self.label])
        self.put(enabled=False)
        command = other.agent.claim_one(45)
        self.assertEqual((command['spec']['run'], SUITE.client.get(f'runs/{run}')['node_id']), (run, other.id))
        self.end(other, command)

    def test_deadline(self):
        self.put(labels=[])
        run = self.run_task()
        wait_until(lambda: 'none has' in (SUITE.client.get(f'runs/{run}')['waiting_for'] or ''))
        deadline = SUITE.client.get(f'runs/{run}')['deadline']
        left = datetime.datetime.fromisoformat(deadline.replace('Z', '+00:00')) - wall_now()
        move('wall', int(left.total_seconds()) - 60)
        time.sleep(1.5)
        self.assertEqual(SUITE.client.get(f'runs/{run}')['state'], 'queued')
        move('wall', 61)
        missed = SUITE.wait_run(run)
        self.assertEqual((missed['state'], missed['error']['code']), ('missed', 'DEADLINE_PASSED'))
        self.assertIn(self.label, missed['error']['message'])


class Queue(Case):
    """Nothing is given up that lives, nothing lives that is silent."""

    def queue(self, command):
        """The command as the queue shows it."""
        items = SUITE.client.get('queue?limit=500')['items']
        return next((item for item in items if item['command_id'] == command['id']), None)

    def test_shown(self):
        run = SUITE.run_task(self.node.task)
        shown = wait_until(
            lambda: [item for item in SUITE.client.get('queue')['items'] if item['run_id'] == run], what='it'
        )[0]
        self.assertEqual((shown['state'], shown['attempt'], shown['node_id']), ('pending', 0, self.node.id))
        self.assertEqual((shown['kind'], shown['task_name']), ('backup', f'{self.node.name}-task'))
        self.assertTrue(shown['deadline'])
        self.assertIn(self.node.name, shown['waits_for'])
        command = self.agent.claim_one(45)
        shown = self.queue(command)
        self.assertEqual((shown['state'], shown['attempt']), ('dispatched', 1))
        self.assertIn('accept', shown['waits_for'])
        self.assertEqual(self.shown()['queue']['dispatched'], 1)
        self.agent.accept(command)
        self.assertEqual((self.queue(command)['state'], self.queue(command)['waits_for']), ('accepted', None))
        self.assertEqual(self.shown()['queue']['running'], 1)
        move('wall', 90)
        self.assertGreaterEqual(self.queue(command)['age_s'], 90)
        self.assertGreaterEqual(self.shown()['queue']['oldest_active_age_s'], 90)
        self.agent.close()
        self.agent.result(command)
        self.assertIsNone(self.queue(command))
        error = wait_until(lambda: self.shown()['queue']['last_error'], what='the error')
        self.assertEqual((error['code'], error['message'], error['run_id']), ('TEST', 'ended by a test', run))

    def test_signs_of_life(self):
        """Heartbeats that name the command and reports about it renew its lease, each by itself."""
        command = self.node.command()
        self.agent.accept(command)
        run = command['spec']['run']
        reports = (
            lambda: self.beat(running=[{'command': command['id'], 'attempt': command['attempt']}]),
            lambda: self.agent.progress(command, phase='reading', bytes_read=1),
        )
        for report in reports:
            old = 500 * 1000000
            database('UPDATE commands SET heard_mono = heard_mono - ? WHERE id = ?', old, command['id'])
            before = database('SELECT heard_mono FROM commands WHERE id = ?', command['id'])[0][0]
            report()
            wait_until(
                lambda: database('SELECT heard_mono FROM commands WHERE id = ?', command['id'])[0][0] - before >= old,
                what='the sign of life',
            )
            self.assertLess(self.queue(command)['silent_s'], 60)
        # One that does not name it renews nothing.
        database('UPDATE commands SET heard_mono = heard_mono - 9000000 WHERE id = ?', command['id'])
        before = database('SELECT heard_mono FROM commands WHERE id = ?', command['id'])
        self.beat()
        time.sleep(1.5)
        self.assertEqual(database('SELECT heard_mono FROM commands WHERE id = ?', command['id']), before)
        self.agent.result(command)
        self.assertEqual(SUITE.wait_run(run)['error']['code'], 'TEST')

    def live(self, seconds, done):
        """Lets time pass in steps that are no sleep of the machine, until something is true; the seconds that
        it took, by the daemons' clock."""
        start, moved = time.monotonic(), 0
        while not done():
            self.assertLess(moved, seconds, 'it did not come true')
            move('monotonic', 3)
            moved += 3
        return moved + time.monotonic() - start

    @unittest.skipUnless(LONG, 'long rounds: ten minutes pass, in steps')
    def test_ten_minutes(self):
        """Delivered and not accepted for 30 s: delivered again. Accepted and silent for ten minutes: timeout, and
        the run is interrupted; not a step earlier, and what comes later changes nothing."""
        command = self.node.command()
        number = command['id']

        def attempt():
            return database('SELECT attempt FROM commands WHERE id = ?', number)[0][0]

        def claim_again():
            self.agent.close()
            for again in self.agent.claim(0, holding=[(number, command['attempt'])]):
                command.update(again)
            return attempt() > 1

        self.assertGreater(self.live(120, claim_again), 28)
        self.agent.accept(command)
        run = command['spec']['run']
        wait_until(lambda: SUITE.client.get(f'runs/{run}')['state'] == 'running', what='the run')

        def ended():
            state = SUITE.client.get(f'runs/{run}')['state']
            self.assertIn(state, ('running', 'interrupted'))
            return state == 'interrupted'

        self.assertGreater(self.live(2000, ended), 590)
        self.assertEqual(SUITE.client.get(f'runs/{run}')['error']['code'], 'AGENT_SILENT')
        self.assertEqual(self.shown()['queue']['timeouts'], 1)
        self.agent.close()
        self.agent.result(command, 'succeeded', result={})
        time.sleep(1.5)
        self.assertEqual(SUITE.client.get(f'runs/{run}')['state'], 'interrupted')

    def test_waits_for_its_node(self):
        """A run whose node is away is not given up after ten minutes, but at its own deadline."""
        SUITE.client.post(f'nodes/{self.node.id}/drain')
        run = SUITE.run_task(self.node.task)
        wait_until(lambda: self.shown()['queue']['pending'] == 1, what='the command')
        move('monotonic', 3 * HOUR)
        move('wall', 3 * HOUR)
        time.sleep(1.5)
        item = [item for item in SUITE.client.get('queue')['items'] if item['run_id'] == run][0]
        self.assertEqual((item['state'], item['age_s'] >= 3 * HOUR), ('pending', True))
        self.assertIn('drained', item['waits_for'])
        self.assertEqual(SUITE.client.get(f'runs/{run}')['waiting_for'], item['waits_for'])
        deadline = datetime.datetime.fromisoformat(item['deadline'].replace('Z', '+00:00'))
        move('wall', int((deadline - wall_now()).total_seconds()) - 30)
        time.sleep(1.5)
        self.assertEqual(SUITE.client.get(f'runs/{run}')['state'], 'queued')
        move('wall', 31)
        missed = SUITE.wait_run(run)
        self.assertEqual((missed['state'], missed['error']['code']), ('missed', 'DEADLINE_PASSED'))
        self.assertEqual(self.shown()['queue']['timeouts'], 0)


class Forged(Case):
    """Whoever has one node's token sees nothing of another one, on any route of agents."""

    def test_routes(self):
        command = self.node.command()
        self.agent.accept(command)
        stranger = self.make_node().agent
        number, body = command['id'], {'attempt': command['attempt']}
        result = {**body, 'status': 'succeeded', 'result': {}}
        heartbeat = stranger.heartbeat_body(node_id=self.node.id, id=self.node.id)
        claim = {'agent_id': stranger.agent_id, 'capacity': 4, 'node_id': self.node.id}
        cases = [
            ('POST', f'agent/commands/{number}/accept', body, 404),
            ('POST', f'agent/commands/{number}/progress', body, 404),
            ('POST', f'agent/commands/{number}/result', result, 404),
            ('POST', 'agent/commands/0/result', result, 404),
            ('POST', f'agent/commands/{2**62}/result', result, 404),
            ('POST', f'agent/commands/-{number}/result', result, 404),
            ('GET', f'agent/self?node_id={self.node.id}', None, 400),
            ('GET', f'agent/self/{self.node.id}', None, 404),
            ('POST', f'agent/commands/claim?node_id={self.node.id}', claim, 400),
            # A node in a body is nothing: it is the token's.
            ('POST', 'agent/commands/claim?wait=0', claim, 204),
            ('POST', 'agent/heartbeat', heartbeat, 200),
            ('GET', f'nodes/{self.node.id}', None, 401),
            ('GET', f'runs/{command["spec"]["run"]}', None, 401),
            ('GET', 'queue', None, 401),
            ('GET', f'relay/{self.node.target}/', None, 401),
            ('GET', f'relay/{self.node.target}/{self.node.name}/', None, 401),
            ('PUT', f'relay/{self.node.target}/x?upload=1&part=0', None, 401),
            ('POST', f'relay/{self.node.target}/x?upload', None, 401),
            ('DELETE', f'relay/{self.node.target}/x', None, 401),
        ]
        for method, path, sent, expected in cases:
            with self.subTest(method=method, path=path):
                status, _, answer = stranger.request(method, path, sent)
                self.assertEqual(status, expected, answer)
                text = json.dumps(answer) if answer else ''
                if status == 200:
                    self.assertEqual(answer['data']['cancel'], [])
                else:
                    self.assertNotIn('"data"', text)
                self.assertNotIn(self.node.name, text.replace(path, ''))
        self.assertEqual(stranger.call('GET', 'agent/self')['name'] == self.node.name, False)
        self.assertEqual(SUITE.client.get(f'runs/{command["spec"]["run"]}')['state'], 'running')
        self.agent.result(command)

    def test_stolen_link(self):
        """The second use of a link that was used: by its thief, or by who comes after the thief."""
        link = SUITE.client.post(f'nodes/{self.node.id}/enrollment', {'ttl_s': 600})['token']
        body = {'enrollment_token': link, 'hostname': 'h', 'os': 'x', 'arch': 'x86_64', 'version': '0.1.0'}
        nobody = FakeAgent(SUITE, 'none')
        self.addCleanup(nobody.close)
        given = nobody.call('POST', 'agent/enroll', {**body, 'public_key': new_public_key()})
        self.assertTrue(given['token'].startswith('bxn_'))
        with self.assertRaises(ApiError) as caught:
            nobody.call('POST', 'agent/enroll', {**body, 'public_key': new_public_key()})
        self.assertIn(caught.exception.code, ('ENROLLMENT_USED', 'NODE_KEY_MISMATCH'))
        self.assertEqual(caught.exception.status, 409)
        self.assertNotIn('token', caught.exception.body)
        late = SUITE.client.post(f'nodes/{self.node.id}/enrollment', {'ttl_s': 600})['token']
        move('wall', 601)
        self.refused(
            401, 'ENROLLMENT_INVALID', nobody.call, 'POST', 'agent/enroll',
            {**body, 'enrollment_token': late, 'public_key': new_public_key()},
        )


if __name__ == '__main__':
    unittest.main()
