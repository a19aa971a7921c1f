#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server itself: what it sends along, what it refuses, what it bounds, how it stops."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from agent_fake import wait_for_waiting
from http_case import Client, HttpCase, Raw, free_port, wait_until

# Seconds for which the server waits, when it stops, for the first request of a connection; some less than it does.
FIRST_REQUEST = 0.18


class Answers(HttpCase):
    """What every answer has."""

    def test_headers(self):
        for method, path in (
            ('GET', '/health'),
            ('GET', '/nowhere'),
            ('GET', 'runs'),
            ('POST', '/health'),
        ):
            _, headers, _ = self.admin.raw(method, path)
            self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')
            self.assertIn("frame-ancestors 'none'", headers['Content-Security-Policy'])
            self.assertEqual(headers['Cache-Control'], 'no-store')
            self.assertEqual(headers['Content-Type'], 'application/json')
            self.assertIsNone(headers['Access-Control-Allow-Origin'])

    def test_not_found_and_not_allowed(self):
        nobody = Client(self.server)
        self.refused(404, 'ROUTE_NOT_FOUND', 'GET', '/', client=nobody)
        self.refused(404, 'ROUTE_NOT_FOUND', 'GET', '/api/v1/tasks/', client=nobody)
        self.refused(404, 'ROUTE_NOT_FOUND', 'GET', '/api/v1/tasks/0', client=nobody)
        self.refused(404, 'ROUTE_NOT_FOUND', 'GET', '/api/v1/tasks/x', client=nobody)
        self.refused(404, 'ROUTE_NOT_FOUND', 'GET', '/api/v2/tasks', client=nobody)
        for method in ('POST', 'DELETE', 'PATCH', 'OPTIONS', 'BREW'):
            _, headers, _ = nobody.raw(method, '/health')
            self.assertEqual(headers['Allow'], 'GET, HEAD')
            self.refused(405, 'METHOD_NOT_ALLOWED', method, '/health', client=nobody)
        _, headers, _ = nobody.raw('PATCH', 'tasks/1')
        self.assertEqual(headers['Allow'], 'GET, HEAD, PUT, DELETE')

    def test_head(self):
        status, headers, body = Client(self.server).raw('HEAD', '/health')
        self.assertEqual((status, body), (200, b''))
        self.assertGreater(int(headers['Content-Length']), 10)

    def test_health_ready_metrics(self):
        nobody = Client(self.server)
        self.assertEqual(nobody.call('GET', '/health'), {'status': 'ok'})
        wait_until(lambda: nobody.request('GET', '/ready')[0] == 200, what='being ready')
        self.refused(401, 'AUTH_REQUIRED', 'GET', '/metrics', client=nobody)
        status, headers, body = self.admin.raw('GET', '/metrics')
        self.assertEqual((status, headers['Content-Type']), (200, 'text/plain; version=0.0.4'))
        for name in (
            'queue_depth{state="pending"}',
            'runs{state="queued"}',
            'nodes_online',
            'waiting_agents',
            'command_timeouts_total',
            'build_info{version=',
        ):
            self.assertIn(f'backupx_{name}', body.decode())

    def test_metrics_escape_labels(self):
        name = self.unique('a "quoted" name')
        target = self.make_target()
        task = self.admin.post(
            'tasks', {'name': name, 'source': {'paths': ['/etc']}, 'target_ids': [target['id']]}
        )
        text = self.admin.raw('GET', '/metrics')[2].decode()
        self.assertIn('task="' + name.replace('"', '\\"') + f'",task_id="{task["id"]}"', text)

    def test_https_proxies_are_believed_only_when_named(self):
        forwarded = {'X-Forwarded-For': '192.0.2.7', 'X-Forwarded-Proto': 'https'}
        _, headers, _ = self.admin.raw('GET', '/health', headers=forwarded)
        self.assertIsNone(headers['Strict-Transport-Security'])
        user = self.make_user()
        client = self.login(user['username'])
        client.request('POST', 'auth/logout', {}, forwarded)
        row = self.admin.get(f'audit?user_id={user["id"]}')['items'][0]
        self.assertEqual(row['address'], '127.0.0.1')


class Proxies(HttpCase):
    """Behind a proxy that is trusted."""

    environment = {'BACKUPX_SERVER_TRUSTED_PROXIES': 'fd00::/8, 127.0.0.0/8'}

    def test_forwarded(self):
        user = self.make_user()
        forwarded = {'X-Forwarded-For': '203.0.113.9, 192.0.2.7', 'X-Forwarded-Proto': 'https'}
        status, headers, _ = Client(self.server).raw(
            'POST',
            'auth/login',
            {'username': user['username'], 'password': 'a good password'},
            forwarded,
        )
        self.assertEqual(status, 200)
        self.assertIn('Secure', headers['Set-Cookie'])
        self.assertTrue(headers['Strict-Transport-Security'])
        row = self.admin.get(f'audit?user_id={user["id"]}')['items'][0]
        self.assertEqual(row['address'], '192.0.2.7')
        _, headers, _ = self.admin.raw('GET', '/health', headers={'X-Forwarded-For': 'not an address'})
        self.assertIsNone(headers['Strict-Transport-Security'])

    def test_ends_of_long_polls(self):
        """They share an answer, and each is told what is true of its own connection."""
        node = self.admin.post('nodes', {'name': self.unique('waiting')})
        body = {'agent_id': 'a', 'capacity': 1}
        for scheme in ('http', 'https', 'http', 'https'):
            status, headers, data = Client(self.server, node['token']).raw(
                'POST', 'agent/commands/claim?wait=0', body, {'X-Forwarded-Proto': scheme}
            )
            self.assertEqual((status, data), (204, b''))
            self.assertEqual(bool(headers['Strict-Transport-Security']), scheme == 'https')
            self.assertEqual(headers['X-Content-Type-Options'], 'nosniff')
            self.assertEqual(headers['Cache-Control'], 'no-store')
            self.assertIsNone(headers['Content-Type'])

    def guess(self, forwarded):
        """The status of one wrong login with these lines of X-Forwarded-For."""
        body = json.dumps({'username': self.unique('nobody'), 'password': 'wrong'})
        lines = ''.join(f'X-Forwarded-For: {line}\r\n' for line in forwarded)
        with Raw(self.suite) as raw:
            raw.send(
                f'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n{lines}'
                f'Content-Length: {len(body)}\r\n\r\n{body}'.encode()
            )
            return raw.status()

    def test_throttling_follows_the_client(self):
        """A client writes lines of its own before the proxy's; it changes nothing by that."""
        for n in range(21):
            self.assertEqual(self.guess([f'198.51.100.{n}', '192.0.2.50, fd00::1']), 401)
        self.assertEqual(self.guess(['198.51.100.77', '192.0.2.50']), 429)
        self.assertEqual(self.guess(['192.0.2.50', '192.0.2.51']), 401)


class Broken(HttpCase):
    """Requests that are none, or too much of one."""

    environment = {'BACKUPX_SERVER_REQUEST_TIMEOUT': '2s', 'BACKUPX_SERVER_CONNECTIONS': '60'}

    def alive(self):
        """The daemon serves on, in the same process."""
        self.assertEqual(Client(self.server, timeout=90).call('GET', '/health'), {'status': 'ok'})
        self.assertIsNone(self.suite.processes['api'].process.poll())

    def test_malformed(self):
        for data in (
            b'\r\n\r\n\r\n',
            b'GET\r\n\r\n',
            b'GET /health\r\n\r\n',
            b'\x16\x03\x01\x02\x00\x01\x00',
            b'GET /health HTTP/9.9\r\n\r\n',
            b'GET /he\x00alth HTTP/1.1\r\nHost: x\r\n\r\n',
            b'GET /health HTTP/1.1\r\nHost\r\n\r\n',
            b'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n',
            b'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
            b'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1e3\r\n\r\n',
            b'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n',
            b'GET ' + b'/a' * 6000 + b' HTTP/1.1\r\nHost: x\r\n\r\n',
            b'GET /health HTTP/1.1\r\nHost: x\r\n' + b'X: ' + b'y' * 20000 + b'\r\n\r\n',
            b'GET /health HTTP/1.1\r\nHost: x\r\n' + b'X: y\r\n' * 2000 + b'\r\n',
            os.urandom(4000),
        ):
            with Raw(self.suite) as raw:
                try:
                    raw.send(data)
                    raw.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                answer = raw.rest()
                if answer:
                    self.assertRegex(answer[:13], rb'^HTTP/1\.[01] (4\d\d|505|200)')
                    self.assertNotIn(b'HTTP/1.1 5', answer.replace(b'HTTP/1.1 505', b''))
        self.alive()

    def test_zero_bytes_in_names(self):
        for path in (b'/health%00', b'/api/v1/tasks/1%00', b'/api/v1/tasks?limit=1%00'):
            with Raw(self.suite) as raw:
                raw.send(
                    b'GET '
                    + path
                    + b' HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer '
                    + self.admin.token.encode()
                    + b'\r\n\r\n'
                )
                self.assertIn(raw.status(), (400, 404))

    def test_keep_alive_and_pipelining(self):
        with Raw(self.suite) as raw:
            for _ in range(3):
                raw.send(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
                self.assertEqual(raw.status(), 200)
            raw.send(
                b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n' * 2 + b'GET /nope HTTP/1.1\r\nHost: x\r\n\r\n'
            )
            self.assertEqual([raw.status() for _ in range(3)], [200, 200, 404])
            # A refused request with a small body leaves the connection usable.
            raw.send(b'POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello')
            self.assertEqual(raw.status(), 404)
            raw.send(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertEqual(raw.status(), 200)

    def test_bodies(self):
        login = b'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n'
        with Raw(self.suite) as raw:  # announced as too much: refused before it is sent
            raw.send(login + b'Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n')
            self.assertEqual(raw.status(), 413)
        with Raw(self.suite) as raw:  # too much, in chunks
            raw.send(
                login
                + b'Transfer-Encoding: chunked\r\n\r\n'
                + 20 * (b'1000\r\n' + 4096 * b'x' + b'\r\n')
                + b'0\r\n\r\n'
            )
            self.assertEqual(raw.status(), 413)
        with Raw(self.suite) as raw:  # without an end
            try:
                raw.send(login + b'Transfer-Encoding: chunked\r\n\r\n')
                for _ in range(1000):
                    raw.send(b'1000\r\n' + 4096 * b'x' + b'\r\n')
                raw.rest()
            except (ConnectionError, socket.timeout):
                pass
        with Raw(self.suite) as raw:  # a body where none is taken
            raw.send(b'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc')
            self.assertEqual(raw.status(), 413)
        with Raw(self.suite) as raw:  # a body that ends early changes nothing
            raw.send(login + b'Content-Length: 60\r\n\r\n{"username":"x"')
        for body in (
            b'{}x',
            b'[]',
            b'"x"',
            b'\xff',
            b'{"username":"\x00"}',
            b'{"username":"\\u0000","password":"x"}',
            b'{"a":' * 200 + b'1' + b'}' * 200,
            b'{"username":1e999,"password":"x"}',
            b'null',
        ):
            status, answer = Client(self.server).request('POST', 'auth/login', body)
            self.assertEqual(status, 400, body)
            self.assertTrue(answer['message'])
        self.alive()

    def test_slow_clients_are_closed(self):
        """One byte now and then does not hold a connection."""
        start = time.monotonic()
        with Raw(self.suite, timeout=90) as head, Raw(self.suite, timeout=90) as body:
            head.send(b'GET /health HTTP/1.1\r\nHost: ')
            body.send(b'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n')

            def drip(raw):
                try:
                    while time.monotonic() - start < 90:
                        raw.send(b'x')
                        time.sleep(0.2)
                except OSError:
                    return

            threads = [threading.Thread(target=drip, args=(raw,)) for raw in (head, body)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertLess(time.monotonic() - start, 60)
        self.alive()

    def test_idle_connections_make_room(self):
        """More clients than connections: those that wait get their turn when idle ones are closed."""
        idle = [Raw(self.suite) for _ in range(58)]
        try:
            self.alive()
        finally:
            for raw in idle:
                raw.socket.close()

    def test_vanishing_clients(self):
        request = (
            b'POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 48\r\n\r\n'
            b'{"username":"nobody-99","password":"wrong pass"}'
        )
        for _ in range(15):
            with Raw(self.suite) as raw:
                raw.send(request)
        self.alive()


class Streams(HttpCase):
    """Server-sent events."""

    def open(self, token=None):
        """(connection, response) of a stream."""
        connection = http.client.HTTPConnection('127.0.0.1', self.suite.port, timeout=60)
        connection.request(
            'GET', '/api/v1/events', headers={'Authorization': f'Bearer {token or self.admin.token}'}
        )
        response = connection.getresponse()
        self.addCleanup(connection.close)
        self.addCleanup(response.close)
        return connection, response

    @staticmethod
    def event(response):
        """(name, data) of the next event; None at the end."""
        name, data = '', ''
        while True:
            line = response.readline().decode()
            if not line:
                return None
            line = line.rstrip('\n')
            if line.startswith('event: '):
                name = line[7:]
            elif line.startswith('data: '):
                data = line[6:]
            elif not line and name:
                return name, json.loads(data)

    def next(self, response, wanted, check):
        """The next event of this name that check() likes."""
        while event := self.event(response):
            if event[0] == wanted and check(event[1]):
                return event[1]
        self.fail('the stream ended')
        return None

    def test_events(self):
        connection, response = self.open()
        self.assertEqual(response.status, 200)
        self.assertEqual(response.getheader('Content-Type'), 'text/event-stream')
        self.assertEqual(self.event(response)[0], 'hello')
        task = self.admin.post('tasks', self.task_body())
        self.next(response, 'task', lambda data: data == {'id': task['id'], 'change': 'created'})
        run = self.admin.post(f'tasks/{task["id"]}/run')['run_id']
        self.next(response, 'run', lambda data: (data['id'], data['state']) == (run, 'queued'))
        self.admin.post(f'runs/{run}/cancel')
        self.next(response, 'run', lambda data: (data['id'], data['state']) == (run, 'cancelled'))
        node = self.admin.post('nodes', {'name': self.unique('n')})
        self.next(response, 'node', lambda data: data['id'] == node['id'])
        connection.close()

    def test_a_stream_ends_with_its_session(self):
        user, client = self.member('viewer')
        _, response = self.open(client.token)
        self.assertEqual(self.event(response)[0], 'hello')
        self.admin.put(f'users/{user["id"]}', {'enabled': False})
        start = time.monotonic()
        while self.event(response):
            pass
        self.assertLess(time.monotonic() - start, 60)
        self.refused(401, 'AUTH_REQUIRED', 'GET', 'events', client=Client(self.server))

    def test_limits(self):
        _, client = self.member('viewer')
        streams = []
        for _ in range(32):
            streams.append(self.open(client.token))
            self.assertEqual(streams[-1][1].status, 200)
        _, response = self.open(client.token)
        self.assertEqual(response.status, 429)
        self.assertTrue(response.getheader('Retry-After'))
        for connection, response in streams:
            response.close()
            connection.close()

    def test_slow_readers_cost_a_bounded_amount(self):
        """Clients that read nothing while much happens: memory stays, the others hear all."""
        slow = []
        for _ in range(10):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(('127.0.0.1', self.suite.port))
            raw.sendall(
                b'GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer '
                + self.admin.token.encode()
                + b'\r\n\r\n'
            )
            slow.append(raw)
        connection, response = self.open()
        task = self.admin.post('tasks', self.task_body())
        for _ in range(1500):
            self.admin.put(f'tasks/{task["id"]}', {'enabled': True})
        last = self.admin.post('nodes', {'name': self.unique('last')})
        self.next(response, 'node', lambda data: data['id'] == last['id'])
        pid = self.suite.processes['api'].process.pid
        with open(f'/proc/{pid}/status', encoding='ascii') as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith('VmRSS'))
        if 'sanitize' not in str(self.suite.build):
            self.assertLess(resident, 64 << 10)
        connection.close()
        for raw in slow:
            raw.close()


def own_address():
    """An address of this machine that is not the loopback, or None. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(('192.0.2.1', 9))
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith('127.') else address


@unittest.skipUnless(shutil.which('systemd-socket-activate'), 'there is no systemd-socket-activate')
class Activated(HttpCase):
    """Sockets that the service manager hands over."""

    @contextlib.contextmanager
    def daemon(self, listens, **more):
        """A second daemon on sockets that it inherits."""
        state = self.suite.folder / self.unique('activated')
        state.mkdir()
        environment = {
            **self.suite.environment(),
            'BACKUPX_STATE_DIR': str(state),
            'BACKUPX_RUNTIME_DIR': str(state),
            **more,
        }
        names = ':'.join(len(listens) * ['http'])
        command = ['systemd-socket-activate', f'--fdname={names}']
        command += [f'--listen={listen}' for listen in listens]
        command += [
            f'--setenv={key}={value}' for key, value in environment.items() if key[:8] == 'BACKUPX_'
        ]
        command.append(str(self.suite.program('api')))
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
            try:
                for line in process.stderr:
                    if listens[-1].encode() in line:
                        break
                yield process
            finally:
                process.terminate()
                self.assertIn(b'Serving on', process.stderr.read())
            self.assertEqual(process.wait(60), 0)

    def test_two_addresses(self):
        ports = free_port(), free_port()
        with self.daemon([f'127.0.0.1:{port}' for port in ports]):
            for port in ports * 3:
                client = Client(f'http://127.0.0.1:{port}', timeout=60)
                self.assertEqual(client.call('GET', '/health'), {'status': 'ok'})

    @unittest.skipUnless(own_address(), 'this machine has no address but the loopback')
    def test_connections_of_one_address(self):
        """The loopback may have as many as there are; another address has its share."""
        port, address = free_port(), own_address()
        limits = {'BACKUPX_SERVER_CONNECTIONS_PER_ADDRESS': '3', 'BACKUPX_SERVER_TLS': 'off'}
        with self.daemon([f'0.0.0.0:{port}'], **limits):
            request = b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'
            with contextlib.ExitStack() as stack:

                def connect(where):
                    raw = stack.enter_context(socket.create_connection((where, port), 60))
                    try:
                        raw.sendall(request)
                        return raw.recv(12) == b'HTTP/1.1 200'
                    except ConnectionError:
                        return False

                self.assertEqual([connect('127.0.0.1') for _ in range(8)], 8 * [True])
                self.assertEqual([connect(address) for _ in range(5)], [True, True, True, False, False])
                self.assertTrue(connect('127.0.0.1'))
                stack.pop_all().close()
                wait_until(lambda: connect(address), what='room for the address')


class Stop(HttpCase):
    """The end of the daemon."""

    def test_streams_and_waiting_requests_end(self):
        connection = http.client.HTTPConnection('127.0.0.1', self.suite.port, timeout=60)
        connection.request(
            'GET', '/api/v1/events', headers={'Authorization': f'Bearer {self.admin.token}'}
        )
        response = connection.getresponse()
        response.readline()
        node = self.admin.post('nodes', {'name': self.unique('waiting')})
        agent = Client(self.server, node['token'])
        answers = []
        thread = threading.Thread(
            target=lambda: answers.append(
                agent.raw(
                    'POST',
                    'agent/commands/claim?wait=50',
                    {'agent_id': 'a1', 'capacity': 1, 'holding': []},
                )
            )
        )
        thread.start()
        wait_for_waiting(self.suite)
        process = self.suite.processes['api'].process
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 0)
        self.assertLess(time.monotonic() - start, 40)
        thread.join(60)
        self.assertIn(answers[0][0], (204, 503))
        self.assertEqual(answers[0][1]['Connection'], 'close')
        self.assertIn(b'hello', response.read())
        connection.close()
        self.suite.restart('api')
        self.admin.get('auth/me')

    def test_accepted_just_before(self):
        """A connection that was accepted has its first request answered, also when the daemon is told to stop
        between the two; one that says nothing keeps it up for a moment only."""
        for _ in range(20):
            if self.stop_between():
                return
        self.fail('this machine gave us never the moment that the server gives')

    def stop_between(self):
        """Stops the server between connections and their first requests; False where we were too slow with the
        latter, which proves nothing."""
        with contextlib.ExitStack() as stack:
            opened = [
                stack.enter_context(socket.create_connection(('127.0.0.1', self.suite.port), 60))
                for _ in range(4)
            ]
            # Connections are accepted in their order: an answer to a later one says that these were.
            self.assertEqual(self.admin.raw('GET', '/health')[0], 200)
            process = self.suite.processes['api'].process
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)

            def is_closed():
                with socket.socket() as s:
                    return s.connect_ex(('127.0.0.1', self.suite.port)) != 0

            wait_until(is_closed, interval=0.001, what='the end of listening')
            with contextlib.suppress(ConnectionError):
                for connection in opened[:3]:
                    connection.sendall(b'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
            in_time = time.monotonic() - told < FIRST_REQUEST
            for connection in opened[:3] if in_time else ():
                answer = b''.join(iter(lambda: connection.recv(65536), b''))
                self.assertIn(b' 200 OK', answer.split(b'\r\n')[0])
                self.assertIn(b'connection: close', answer.lower())
            self.assertEqual(process.wait(60), 0)
            if in_time:
                self.assertEqual(opened[3].recv(1), b'')
        self.suite.restart('api')
        return in_time

    def test_killed_and_back(self):
        user, client = self.member('operator')
        task = client.post('tasks', self.task_body())
        run = client.post(f'tasks/{task["id"]}/run')['run_id']
        self.suite.restart('api', kill=True)
        self.assertEqual(client.get('auth/me')['id'], user['id'])
        self.assertEqual(client.get(f'runs/{run}')['state'], 'queued')
        wait_until(lambda: client.request('POST', f'runs/{run}/cancel')[0] == 202, what='the dispatcher')


if __name__ == '__main__':
    unittest.main()
