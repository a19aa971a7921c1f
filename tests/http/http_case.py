# SPDX-License-Identifier: Apache-2.0
"""What the tests of the HTTP API share: the real daemons, callers of each role, raw connections."""

import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'lib'))

from client import UNVERIFIED, Client  # noqa: E402
from suite import Suite, free_port, wait_until  # noqa: E402,F401

ROLES = ('viewer', 'operator', 'admin')
PASSWORD = 'a good password'
FOLDER = pathlib.Path(__file__).resolve().parent


class BareSuite(Suite):
    """Daemons that nobody has set up."""

    def set_up(self):
        """Left to the test."""


class HttpCase(unittest.TestCase):
    """One set of daemons for all tests of a class."""

    environment = {}
    agent = False
    kind = Suite

    @classmethod
    def setUpClass(cls):
        cls.suite = cls.kind(agent=cls.agent, environment=cls.environment)
        try:
            cls.suite.start()
        except BaseException:
            cls.suite.close()
            raise
        cls.admin = cls.suite.client
        cls.server = cls.suite.server
        cls.number = 0

    @classmethod
    def tearDownClass(cls):
        try:
            cls.check_end()
        finally:
            cls.suite.close()

    @classmethod
    def check_end(cls):
        """Every program ends well when asked to; the complaints of a sanitizer are a bad end."""
        for name in reversed(list(cls.suite.processes)):
            process = cls.suite.processes.pop(name)
            status = process.stop()
            log = process.log.read_text(errors='replace')
            if name != 'bus' and (status != 0 or 'Sanitizer' in log or 'runtime error:' in log):
                raise AssertionError(f'{name} ended with status {status}; its log:\n{process.tail(120)}')

    @classmethod
    def unique(cls, name):
        """A name that no other test has."""
        cls.number += 1
        return f'{name}-{cls.number}'

    @classmethod
    def make_user(cls, role='viewer', password=PASSWORD, **more):
        """Creates a user."""
        body = {'username': cls.unique(role), 'password': password, 'role': role, **more}
        return cls.admin.post('users', body)

    @classmethod
    def login(cls, username, password=PASSWORD):
        """A client with a new session."""
        session = Client(cls.server).post('auth/login', {'username': username, 'password': password})
        return Client(cls.server, session['token'])

    @classmethod
    def member(cls, role):
        """(user, client) of a new user with this role."""
        user = cls.make_user(role)
        return user, cls.login(user['username'])

    def make_target(self):
        """Creates a target."""
        name = self.unique('disk')
        return self.admin.post(
            'targets', {'name': name, 'type': 'local', 'config': {'path': f'/srv/{name}'}}
        )

    def task_body(self, **more):
        """What a task needs."""
        return {
            'name': self.unique('task'),
            'source': {'paths': ['/etc']},
            'target_ids': [self.make_target()['id']],
            **more,
        }

    def refused(self, status, code, method, path, body=None, client=None, field=None, headers=None):
        """Checks that a request is refused, how, and that the answer has the form of all answers."""
        found, answer = (client or self.admin).request(method, path, body, headers)
        self.assertEqual((found, answer.get('code')), (status, code), f'{method} {path}: {answer}')
        self.assertTrue(answer['message'], f'{method} {path}: {answer}')
        self.assertNotIn('data', answer)
        if field:
            self.assertEqual(answer.get('field'), field)
        return answer


class Raw:
    """A connection, byte by byte."""

    def __init__(self, suite, timeout=60):
        self.socket = socket.create_connection(('127.0.0.1', suite.port), timeout)
        if suite.tls:
            self.socket = UNVERIFIED.wrap_socket(self.socket)
        self.data = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        """Sends bytes."""
        self.socket.sendall(data)

    def until(self, mark):
        """Everything up to and with the mark."""
        while mark not in self.data:
            part = self.socket.recv(65536)
            if not part:
                raise EOFError(self.data)
            self.data += part
        end = self.data.index(mark) + len(mark)
        found, self.data = self.data[:end], self.data[end:]
        return found

    def rest(self):
        """Everything until the server closes."""
        try:
            while part := self.socket.recv(65536):
                self.data += part
        except ConnectionResetError:
            pass
        return self.data

    def status(self):
        """The status of the next answer, whose body is left behind."""
        head = self.until(b'\r\n\r\n').decode('latin-1')
        for line in head.split('\r\n'):
            if line.lower().startswith('content-length:'):
                n = int(line.split(':')[1])
                while len(self.data) < n:
                    self.data += self.socket.recv(65536)
                self.data = self.data[n:]
        return int(head.split(' ')[1])
