# SPDX-License-Identifier: Apache-2.0
"""An agent that speaks the protocol by hand, so that it can also speak it wrongly."""

import hashlib
import json
import os
import pathlib
import secrets
import sqlite3
import sys
import threading
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import ApiError  # noqa: E402 (the path is set above)
from suite import wait_until  # noqa: E402

# What an agent of this version knows.
FEATURES = ('hooks', 'one-snapshot')
# What a capability of the relay allows.
GET, PUT, DELETE, LOCK = 1, 2, 4, 8

CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'


def bech32(hrp, data):
    """Bech32 of bytes (BIP 173), without the length limit."""

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if top >> i & 1 else 0
        return check

    bits = ''.join(f'{byte:08b}' for byte in data)
    bits += '0' * (-len(bits) % 5)
    words = [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]
    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    check = polymod(expanded + words + [0] * 6) ^ 1
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return f'{hrp}1' + ''.join(CHARSET[word] for word in words)


def new_public_key():
    """A recipient that nobody has the identity of: sealing to it works, opening never."""
    return bech32('age', os.urandom(32))


def in_background(function, *arguments, **more):
    """Starts a call; gives a function that waits for its result."""
    box = {}

    def run():
        try:
            box['result'] = function(*arguments, **more)
        except Exception as error:  # given to whoever waits
            box['error'] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait(timeout=150):
        thread.join(timeout)
        if 'error' in box:
            raise box['error']
        return box['result']

    return wait


class FakeAgent:
    """One instance of an agent of one node."""

    def __init__(self, suite, token, agent_id=None, public_key=None):
        self.suite = suite
        self.token = token
        self.agent_id = agent_id or secrets.token_hex(16)
        self.public_key = public_key or new_public_key()
        self.features = FEATURES  # None: an agent older than these lists
        self.connection = suite.connect()

    def close(self):
        """Ends the connection."""
        self.connection.close()

    def request(self, method, path, body=None, headers=None):
        """(status, headers, decoded body or bytes)."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        merged = {'Authorization': f'Bearer {self.token}', **(headers or {})}
        self.connection.request(method, f'/api/v1/{path}', data, merged)
        response = self.connection.getresponse()
        answer = response.read()
        try:
            answer = json.loads(answer) if answer else None
        except ValueError:
            pass
        return response.status, response.headers, answer

    def call(self, method, path, body=None):
        """The data of a success; ApiError otherwise."""
        status, _, answer = self.request(method, path, body)
        if status >= 300:
            raise ApiError(method, path, status, answer)
        return answer['data'] if answer else None

    def heartbeat_body(self, **more):
        """What an agent sends every 15 s."""
        return {
            'boot_id': str(uuid.UUID(int=1)),
            'agent_id': self.agent_id,
            'version': '0.1.0',
            'os': 'Debian GNU/Linux 12',
            'arch': 'x86_64',
            'hostname': 'fake',
            'addresses': ['192.0.2.7'],
            'public_key': self.public_key,
            'capacity': 4,
            'probes': 4,
            'running': [],
            'free_bytes': 1 << 30,
            'clock': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'tools': {},
            **more,
        }

    def heartbeat(self, **more):
        """Sends one."""
        return self.call('POST', 'agent/heartbeat', self.heartbeat_body(**more))

    def claim_answer(self, wait=0, holding=(), capacity=4):
        """What a claim gives; None for 204."""
        body = {
            'agent_id': self.agent_id,
            'capacity': capacity,
            'probes': capacity,
            'holding': [{'command': command, 'attempt': attempt} for command, attempt in holding],
            'features': self.features,
        }
        return self.call('POST', f'agent/commands/claim?wait={wait}', body)

    def claim(self, wait=0, holding=(), capacity=4):
        """The commands that a claim gives; none for 204."""
        data = self.claim_answer(wait, holding, capacity)
        return data['commands'] if data else []

    def claim_one(self, wait=45, **more):
        """The one command that is there."""
        commands = self.claim(wait, **more)
        if len(commands) != 1:
            raise AssertionError(f'{len(commands)} commands came, expected one')
        return commands[0]

    def accept(self, command, attempt=None):
        """Accepts a command (or the attempt of a number)."""
        return self.call(
            'POST', f'agent/commands/{command["id"]}/accept', {'attempt': attempt or command['attempt']}
        )

    def progress(self, command, **more):
        """Reports progress or log lines."""
        body = {'attempt': command['attempt'], **more}
        return self.call('POST', f'agent/commands/{command["id"]}/progress', body)

    def result(self, command, status='failed', attempt=None, **more):
        """Ends a command."""
        body = {
            'attempt': attempt or command['attempt'],
            'status': status,
            'error': {'code': 'TEST', 'message': 'ended by a test'} if status == 'failed' else None,
            **more,
        }
        return self.call('POST', f'agent/commands/{command["id"]}/result', body)


class FakeNode:
    """A node made for one test, with its agent in contact and a task that gives it commands."""

    def __init__(self, suite, name=None, kind='local'):
        self.suite = suite
        self.name = name or f'node-{secrets.token_hex(4)}'
        made = suite.client.post('nodes', {'name': self.name})
        self.id = made['id']
        self.agent = FakeAgent(suite, made['token'])
        self.agent.heartbeat()
        suite.wait_online(self.id)
        self.target = suite.client.post(
            'targets',
            {
                'name': f'{self.name}-target',
                'type': kind,
                'config': {'path': '/srv/backup'} if kind == 'local' else {},
            },
        )['id']
        self.task = suite.make_task(['/etc'], [self.target], f'{self.name}-task', node_id=self.id)

    def command(self, wait=45):
        """Starts the task and claims its command."""
        run = self.suite.run_task(self.task)
        command = self.agent.claim_one(wait)
        if command['spec']['run'] != run:
            raise AssertionError(f'the command of run {command["spec"]["run"]} came, expected {run}')
        return command

    def close(self):
        """Ends what is open."""
        self.agent.close()


def add_capability(suite, command, target, prefix, verbs, attempt=0):
    """The token of a capability of the relay. The dispatcher makes it for a job: the agent of a test cannot open
    its secrets."""
    token = 'bxr_' + secrets.token_urlsafe(32)
    with sqlite3.connect(suite.master_state / 'backupx.db', timeout=60) as database:
        database.execute(
            'INSERT INTO relay_caps (hash, command_id, attempt, target_id, prefix, verbs, created)'
            ' VALUES (?, ?, ?, ?, ?, ?, ?)',
            (hashlib.sha256(token.encode()).digest(), command, attempt, target, prefix, verbs, 1),
        )
    database.close()
    return token


def wait_for_waiting(suite, number=1):
    """Waits until so many claims wait at the API."""
    line = f'backupx_waiting_agents {number}\n'.encode()
    wait_until(
        lambda: line in suite.client.raw('GET', '/metrics')[2], what=f'{number} waiting claims', interval=0.05
    )


def quote(key):
    """A key as the path of a request."""
    return urllib.parse.quote(key, safe='/')
