# SPDX-License-Identifier: Apache-2.0
"""A master that says what a test wants it to say: the agent's half of the protocol, answered from Python."""

import http.server
import json
import re
import select
import socketserver
import threading
import time

from suite import free_port


class Reply:
    """An answer to be given instead of the usual one; status 0 closes the connection without a word."""

    def __init__(self, status=200, data=None, code=None, headers=None, body=None, delay=0.0):
        self.status = status
        self.headers = headers or {}
        self.delay = delay
        if body is not None:
            self.body = body
        elif code:
            self.body = json.dumps({'code': code, 'message': f'{code} for a test'}).encode()
        elif status == 204:
            self.body = b''
        else:
            self.body = json.dumps({'code': 'OK', 'data': data or {}}).encode()


class Command:
    """One command as the queue of a real master would hold it."""

    def __init__(self, number, kind, spec, secrets=None):
        self.number = number
        self.kind = kind
        self.spec = spec
        self.secrets = secrets
        self.attempt = 0
        self.state = 'pending'
        self.cancel = False
        self.result = None
        self.results = 0
        self.progress = []
        self.lines = {}

    def delivery(self):
        """What the claim answers."""
        return {
            'id': self.number,
            'attempt': self.attempt,
            'kind': self.kind,
            'deadline': None,
            'spec': self.spec,
            'secrets': self.secrets,
        }


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection of the agent."""

    protocol_version = 'HTTP/1.1'

    def setup(self):
        """A connection begins."""
        super().setup()
        self.server.master.note_connections(1)

    def finish(self):
        """It ends."""
        self.server.master.note_connections(-1)
        super().finish()

    def log_message(self, *_):
        pass

    def alive(self):
        """Whether the other side is still there: a claim is not answered into the void."""
        try:
            poll = select.poll()
            poll.register(self.connection, select.POLLRDHUP)
            return not poll.poll(0)
        except (OSError, ValueError):
            return False

    def handle_one(self, method):
        length = int(self.headers.get('Content-Length') or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        reply = self.server.master.answer(method, self.path, body, self.headers, self.alive)
        if reply.delay:
            time.sleep(reply.delay)
        if reply.status == 0:
            self.close_connection = True
            return
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header('Content-Length', str(len(reply.body)))
            self.end_headers()
            if reply.status != 204:
                self.wfile.write(reply.body)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        """Asked by http.server."""
        self.handle_one('GET')

    def do_POST(self):
        """Asked by http.server."""
        self.handle_one('POST')


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Threads, so that a long poll stops nobody."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


class FakeMaster:
    """The queue of one node and its door."""

    def __init__(self, port=None):
        self.token = 'bxn_' + 'A' * 43
        self.old_tokens = []
        self.lock = threading.Condition()
        self.commands = {}
        self.scripts = []
        self.seen = []
        self.times = []
        self.heartbeats = []
        self.claims = []
        self.token_sealed = None
        self.wait_limit = 50.0
        self.claim_cancels = []
        self.knows_unstarted = True
        self.closed = False
        self.connections = 0
        self.connections_most = 0
        self.server = None
        self.thread = None
        # Its own also while it is closed.
        self.port = port or free_port()
        self.open()

    def open(self):
        """Opens the door, at the same port as before where there was one."""
        self.closed = False
        self.server = Server(('127.0.0.1', self.port), Handler)
        self.server.master = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={'poll_interval': 0.05})
        self.thread.daemon = True
        self.thread.start()

    def close(self):
        """Shuts the door: an outage."""
        with self.lock:
            self.closed = True
            self.lock.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def url(self):
        """What --master gets."""
        return f'http://127.0.0.1:{self.port}'

    # --- for tests ---

    def script(self, pattern, *replies):
        """The next requests whose path matches get these answers, in order: a Reply, None for the usual one,
        or 'lost' for one that is thought, done, and then lost on the way."""
        with self.lock:
            self.scripts.append((re.compile(pattern), list(replies)))

    def add(self, kind, spec, number=None, secrets=None):
        """Queues a command."""
        with self.lock:
            number = number or 1 + max(self.commands, default=0)
            command = self.commands[number] = Command(number, kind, spec, secrets)
            self.lock.notify_all()
            return command

    def wait(self, condition, timeout=120.0, what='a condition'):
        """Waits until the condition holds; gives its value."""
        deadline = time.monotonic() + timeout
        with self.lock:
            while True:
                value = condition()
                if value:
                    return value
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f'{what} did not come true in {timeout} s')
                self.lock.wait(min(left, 0.05))

    def finished(self, command, timeout=120.0):
        """Waits for the result of a command."""
        self.wait(lambda: command.result is not None, timeout, f'the result of command {command.number}')
        return command.result

    def count(self, pattern):
        """How many requests had such a path."""
        with self.lock:
            return sum(1 for _, path, _ in self.seen if re.search(pattern, path))

    def moments(self, pattern):
        """When the requests with such a path came."""
        with self.lock:
            return [when for (_, path, _), when in zip(self.seen, self.times) if re.search(pattern, path)]

    def note_connections(self, change):
        """One more or one less."""
        with self.lock:
            self.connections += change
            self.connections_most = max(self.connections_most, self.connections)
            self.lock.notify_all()

    # --- the protocol ---

    def answer(self, method, path, body, headers, alive):
        """Gives the reply to one request."""
        with self.lock:
            if self.closed:
                return Reply(0)
            self.seen.append((method, path, body))
            self.times.append(time.monotonic())
            self.lock.notify_all()
            for pattern, replies in self.scripts:
                if replies and pattern.search(path):
                    reply = replies.pop(0)
                    if reply == 'lost':
                        self.usual(path, body, headers, alive)
                        return Reply(0)
                    if reply is not None:
                        return reply
                    break
            return self.usual(path, body, headers, alive)

    def usual(self, path, body, headers, alive):
        """What a real master would say."""
        tokens = [f'Bearer {token}' for token in (self.token, *self.old_tokens)]
        if '/enroll' not in path and headers.get('Authorization') not in tokens:
            return Reply(401, code='NODE_TOKEN_INVALID')
        return self.route(path, body, alive)

    def route(self, path, body, alive):
        """The usual answer."""
        verb = path.split('/api/v1/agent/')[1].split('?')[0]
        if verb == 'heartbeat':
            self.heartbeats.append(body)
            return Reply(data={'interval_s': 5, 'cancel': self.cancelled(), 'token_sealed': self.token_sealed})
        if verb == 'self':
            return Reply(data={'id': 7, 'name': 'test-node', 'status': 'online', 'last_seen': None})
        if verb == 'enroll':
            return Reply(data={'node': {'id': 7, 'name': 'test-node'}, 'token': self.token})
        if verb == 'commands/claim':
            return self.claim(body, int(path.split('wait=')[1]), alive)
        number, verb = re.fullmatch(r'commands/(\d+)/(\w+)', verb).groups()
        command = self.commands.get(int(number))
        if not command:
            return Reply(404, code='COMMAND_NOT_FOUND')
        if body['attempt'] != command.attempt:
            return Reply(409, code='COMMAND_ATTEMPT_STALE')
        return getattr(self, 'take_' + verb)(command, body)

    def cancel_by_claim(self, command):
        """Tells it to the claim that waits, and to nobody else."""
        with self.lock:
            self.claim_cancels.append(command.number)
            self.lock.notify_all()

    def cancelled(self):
        """Numbers of the commands that are to be ended."""
        return [c.number for c in self.commands.values() if c.cancel and c.state == 'accepted']

    def claim(self, body, wait, alive):
        """The long poll; like a real one it delivers again what is neither accepted nor held."""
        self.claims.append(body)
        held = {(h['command'], h['attempt']) for h in body['holding']}
        for command in self.commands.values():
            if command.state == 'dispatched' and (command.number, command.attempt) not in held:
                command.state = 'pending'
        for name in body.get('unstarted', ()) if self.knows_unstarted else ():
            command = self.commands[name['command']]
            if command.state == 'accepted' and command.attempt == name['attempt']:
                command.state = 'pending'
        deadline = time.monotonic() + min(wait, self.wait_limit)
        while not self.closed:
            if not alive():
                return Reply(0)
            ready = [c for c in self.commands.values() if c.state == 'pending']
            probes = ('list_dir', 'test_storage', 'browse', 'self_check')
            heavy = [c for c in ready if c.kind not in probes][: body['capacity']]
            light = [c for c in ready if c.kind in probes][: body['probes']]
            for command in heavy + light:
                command.state = 'dispatched'
                command.attempt += 1
            told, self.claim_cancels = self.claim_cancels, []
            if heavy or light or told:
                return Reply(data={'commands': [c.delivery() for c in heavy + light], 'cancel': told})
            left = deadline - time.monotonic()
            if left <= 0:
                return Reply(204)
            self.lock.wait(left)
        return Reply(0)

    def take_accept(self, command, _):
        """dispatched → accepted; a repeat is fine."""
        if command.state == 'dispatched':
            command.state = 'accepted'
        return Reply() if command.state == 'accepted' else Reply(410, code='COMMAND_GONE')

    def take_progress(self, command, body):
        """Keeps what came."""
        if command.state != 'accepted':
            return Reply(410, code='COMMAND_GONE')
        if 'phase' in body:
            command.progress.append(body)
        self.keep_lines(command, body)
        return Reply(data={'cancel': command.cancel})

    @staticmethod
    def keep_lines(command, body):
        """By their numbers: a repeat is not stored twice."""
        for line in body.get('log') or []:
            command.lines.setdefault(line['seq'], line['text'])

    def take_result(self, command, body):
        """The end of a command; acknowledged as often as it is told."""
        command.results += 1
        if command.state in ('dispatched', 'accepted'):
            command.state = body['status']
            command.result = body
            self.keep_lines(command, body)
            self.lock.notify_all()
        return Reply()
