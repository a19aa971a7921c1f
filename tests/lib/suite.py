# SPDX-License-Identifier: Apache-2.0
"""The whole suite from a build tree, on private ground: its own bus, its own sockets, plain HTTP on
loopback, one agent. Real daemons, nothing mocked.

    with Suite() as suite:
        task = suite.client.post('tasks', {...})
"""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import random
import secrets
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

from client import UNVERIFIED, Client
from processes import Failed, Process, clean_environment

ROOT = pathlib.Path(__file__).resolve().parents[2]
DAEMONS = ('scheduler', 'dispatcher', 'api')
PROGRAMS = {
    'scheduler': 'services/scheduler/backupx-scheduler',
    'dispatcher': 'services/dispatcher/backupx-dispatcher',
    'api': 'services/api/backupx-api',
    'keys': 'services/keys/backupx-keys',
    'agent': 'agent/backupx-agent',
    'job': 'agent/backupx-job',
    'cli': 'cli/backupx',
}
FINAL_STATES = ('succeeded', 'partial', 'failed', 'cancelled', 'missed', 'interrupted')

BUS_CONFIGURATION = '''<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true"/>
    <allow receive_type="method_call"/>
    <allow receive_type="signal"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
  </policy>
</busconfig>
'''


def build_folder():
    """Where the programs were built: BACKUPX_BUILD, else build/ of the tree."""
    return pathlib.Path(os.environ.get('BACKUPX_BUILD') or ROOT / 'build').resolve()


# Below those that the kernel takes for the near end of connections, and for whoever binds to port 0: nobody gets
# one of these by chance between two moments when we listen on it.
PORTS = range(20000, 30000)
reserved_ports = []


def free_port():
    """A TCP port of loopback for this program alone until it ends, whether it listens on it or not. Other tests are
    told by a name that is gone with us, however we end."""
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f'\0backupx-test-port-{port}')
            with socket.socket() as s:
                s.bind(('127.0.0.1', port))
        except OSError:
            mark.close()
            continue
        reserved_ports.append(mark)
        return port
    raise Failed('no port of loopback is free')


def accepts(path):
    """Whether somebody accepts connections at a unix socket."""
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect_ex(str(path)) == 0


def wait_until(condition, timeout=60, what='the condition', interval=0.02):
    """Asks until the answer is true; gives the answer."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f'{what} did not come true within {timeout} s')
        time.sleep(interval)


class Suite:
    """The daemons of a master and one agent."""

    tls = False

    def __init__(
        self, state=None, port=None, build=None, agent=True, environment=None, orphans_die=True, wrap=None
    ):
        """wrap: name of a program -> what runs it, "valgrind …" as a list; BACKUPX_TEST_WRAP does so for the
        daemons, the agent and its jobs. A wrapper runs its program in the same process, or passes signals
        on."""
        self.build = pathlib.Path(build or build_folder())
        self.temporary = None if state else tempfile.mkdtemp(prefix='backupx-')
        self.folder = pathlib.Path(state or self.temporary).resolve()
        # The path of a unix socket is short by nature; a long state directory gets its sockets elsewhere.
        self.sockets = None if len(str(self.folder)) < 70 else tempfile.mkdtemp(prefix='backupx-')
        self.run = pathlib.Path(self.sockets or self.folder / 'run')
        self.port = port or free_port()
        self.server = f'http{"s" if self.tls else ""}://127.0.0.1:{self.port}'
        self.with_agent = agent
        self.added = {**({'BACKUPX_SERVER_TLS': 'on'} if self.tls else {}), **(environment or {})}
        self.orphans_die = orphans_die
        self.wrap = wrap or {}
        self.processes = {}
        self.client = Client(self.server)
        self.password = None

    # --- places ---

    @property
    def master_state(self):
        """The state directory of the daemons."""
        return self.folder / 'master'

    @property
    def agent_state(self):
        """The state directory of the agent."""
        return self.folder / 'agent'

    @property
    def storage(self):
        """A directory that the agent's jobs may write to."""
        return self.agent_state / 'storage'

    def program(self, name):
        """Path of a built program."""
        return self.build / PROGRAMS[name]

    def wrapper(self, name):
        """What runs a program, as a list: nothing, but in a test that says so."""
        return [str(word) for word in self.wrap.get(name, os.environ.get('BACKUPX_TEST_WRAP', '').split())]

    def command(self, name):
        """How a program is run."""
        return [*self.wrapper(name), str(self.program(name))]

    def job_program(self):
        """What the agent starts for a job: it takes one path, so a wrapped job is a script."""
        if not self.wrapper('job'):
            return self.program('job')
        script = self.run / 'job'
        script.write_text(f'#!/bin/sh\nexec {shlex.join(self.command("job"))}\n')
        script.chmod(0o755)
        return script

    def patience(self, name):
        """How long a program may take to start, and to end."""
        return 300 if self.wrapper(name) else 90

    # --- TLS ---

    @property
    def certificate(self):
        """The certificate that the master made for itself."""
        return self.master_state / 'tls.crt'

    def pin(self, certificate=None):
        """The pin of a certificate's key, as the manual of curl has it computed."""
        key = subprocess.run(
            ['openssl', 'x509', '-in', certificate or self.certificate, '-noout', '-pubkey'],
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        der = base64.b64decode(b''.join(key.splitlines()[1:-1]))
        return 'sha256//' + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def connect(self, timeout=70):
        """A connection of http.client."""
        if not self.tls:
            return http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=timeout, context=UNVERIFIED)

    # --- start and stop ---

    def __enter__(self):
        try:
            return self.start()
        except BaseException as error:
            try:
                self.close()
            except Failed:
                pass  # the first failure is the one to tell
            raise error

    def __exit__(self, *_):
        self.close()

    def start(self):
        """Starts everything, sets up the first administrator, and waits for the agent."""
        for folder in (
            self.run,
            self.master_state,
            self.agent_state,
            self.agent_state / 'results',
            self.storage,
            self.folder / 'keys',
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.start_bus()
        self.make_keys()
        for name in DAEMONS:
            self.start_daemon(name)
        self.set_up()
        if self.with_agent:
            self.start_agent()
            self.wait_online()
        return self

    def close(self):
        """Ends all programs; removes what was temporary."""
        try:
            self.stop()
        finally:
            for folder in (self.temporary, self.sockets):
                if folder:
                    shutil.rmtree(folder, ignore_errors=True)

    def stop(self):
        """Ends all programs in good order, the agent first."""
        failed = []
        for name in reversed(list(self.processes)):
            process = self.processes[name]
            try:
                status = process.stop(self.patience(name))
            except Failed as error:
                failed.append(str(error))
                continue
            # A sanitizer's finding, a failed assertion, an exit with an error; a test's own signals are fine.
            if status not in (None, 0, -signal.SIGTERM, -signal.SIGKILL):
                failed.append(f'{name} ended with status {status}; its log:\n{process.tail()}')
        self.processes.clear()
        if failed:
            raise Failed('\n'.join(failed))

    def environment(self, **more):
        """What the programs see."""
        own = {
            'BACKUPX_STATE_DIR': self.master_state,
            'BACKUPX_RUNTIME_DIR': self.run,
            'BACKUPX_SERVER_LISTEN': f'127.0.0.1:{self.port}',
            'CREDENTIALS_DIRECTORY': self.folder / 'keys',
            'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={self.run}/bus',
            'BACKUPX_LOG_LEVEL': 'debug',
        }
        return clean_environment(**{**own, **self.added, **more})

    def start_bus(self):
        """A private bus in the place of the system's."""
        configuration = self.run / 'bus.conf'
        configuration.write_text(BUS_CONFIGURATION.format(path=self.run / 'bus'))
        bus = self.run / 'bus'
        bus.unlink(missing_ok=True)
        command = [
            'dbus-daemon',
            f'--config-file={configuration}',
            '--nofork',
            '--nopidfile',
            '--nosyslog',
        ]
        self.processes['bus'] = Process('bus', command, self.run, clean_environment(), self.orphans_die)
        self.processes['bus'].start(ready=False)
        wait_until(lambda: accepts(bus), what='the private bus')

    def make_keys(self):
        """What backupx-keys.service does at the first start."""
        result = subprocess.run(
            [self.program('keys'), '--plain', self.folder / 'keys'],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise Failed(f'backupx-keys ended with status {result.returncode}:\n{result.stdout}')

    def start_daemon(self, name, **environment):
        """Starts one of the daemons and waits until it serves."""
        process = Process(
            name, self.command(name), self.run, self.environment(**environment), self.orphans_die
        )
        self.processes[name] = process
        return process.start(timeout=self.patience(name))

    def agent_environment(self, **more):
        """What the agent sees."""
        own = {
            'BACKUPX_AGENT_MASTER': self.server,
            'BACKUPX_AGENT_TOKEN_FILE': self.folder / 'keys' / 'agent-token',
            'BACKUPX_AGENT_STATE_DIR': self.agent_state,
            'BACKUPX_AGENT_RUNTIME_DIR': self.run / 'agent',
            'BACKUPX_AGENT_JOB': self.job_program(),
            'BACKUPX_AGENT_POLICY': self.folder / 'policy.yaml',
            'DBUS_SYSTEM_BUS_ADDRESS': f'unix:path={self.run}/bus',
            'BACKUPX_LOG_LEVEL': 'debug',
        }
        if self.tls:
            own['BACKUPX_AGENT_PIN'] = self.pin()
        return clean_environment(**{**own, **self.added, **more})

    def start_agent(self, **environment):
        """Starts the agent of the node local."""
        process = Process(
            'agent',
            self.command('agent'),
            self.run,
            self.agent_environment(**environment),
            self.orphans_die,
        )
        self.processes['agent'] = process
        return process.start(timeout=self.patience('agent'))

    def restart(self, name, kill=False):
        """Stops (or kills) a program and starts it again."""
        process = self.processes.pop(name)
        if kill:
            process.kill()
        process.stop(self.patience(name))
        return self.start_agent() if name == 'agent' else self.start_daemon(name)

    # --- the first steps ---

    def set_up(self):
        """Makes the first administrator and an API key for the tests, or uses those of an earlier start."""
        token = self.folder / 'token'
        if token.exists():
            self.client.token = token.read_text().strip()
            return
        self.password = secrets.token_urlsafe(12)
        anonymous = Client(self.server)
        anonymous.post('setup', {'username': 'admin', 'password': self.password})
        session = anonymous.post('auth/login', {'username': 'admin', 'password': self.password})
        key = Client(self.server, session['token']).post(
            'api-keys', {'name': 'quickstart', 'role': 'admin'}
        )
        self.client.token = key.get('key') or key.get('token')
        token.touch(mode=0o600)
        token.write_text(self.client.token + '\n')

    def node(self, node=1):
        """A node as the API shows it."""
        return self.client.get(f'nodes/{node}')

    def wait_online(self, node=1, timeout=120):
        """Waits until a node is online."""

        try:
            return wait_until(
                lambda: self.node(node)['status'] == 'online', timeout, f'node {node} being online'
            )
        except Failed as error:
            raise Failed(f'{error}\n{self.tails()}') from None

    # --- what tests do again and again ---

    def make_target(self, name='disk', path=None, kind='local', **config):
        """Creates a target; its id."""
        if kind == 'local':
            path = pathlib.Path(path or self.storage / name)
            path.mkdir(parents=True, exist_ok=True)
            config['path'] = str(path)
        return self.client.post('targets', {'name': name, 'type': kind, 'config': config})['id']

    def make_task(self, paths, targets, name='files', **more):
        """Creates a task of files; its id."""
        source = {'paths': [str(path) for path in paths], **more.pop('source', {})}
        body = {
            'name': name,
            'type': 'file',
            'source': source,
            'target_ids': list(targets),
            'format': 'archive',
            'compression': {'algorithm': 'zstd', 'level': 3},
            'encryption': 'none',
            'enabled': True,
            **more,
        }
        return self.client.post('tasks', body)['id']

    def run_task(self, task):
        """Starts a task; the id of its run."""
        return self.client.post(f'tasks/{task}/run')['run_id']

    def wait_run(self, run, states=FINAL_STATES, timeout=240):
        """Waits until a run is in one of the states; the run."""
        found = {}

        def reached():
            found.update(self.client.get(f'runs/{run}'))
            return found['state'] in states

        try:
            wait_until(reached, timeout, f'run {run} being {" or ".join(states)}')
        except Failed as error:
            raise Failed(f'{error}; it is {found.get("state")}\n{self.tails()}') from None
        return found

    def backup(self, task, timeout=240):
        """Runs a task to its end; the run."""
        return self.wait_run(self.run_task(task), timeout=timeout)

    def restore(self, run, path, paths=(), conflict='fail', node=1, timeout=240):
        """Restores a run into a directory; the run of the restore."""
        body = {
            'destination': {'node_id': node, 'path': str(path)},
            'paths': [str(p) for p in paths],
            'conflict': conflict,
        }
        return self.wait_run(self.client.post(f'runs/{run}/restore', body)['run_id'], timeout=timeout)

    def repository_password(self, target, node=1):
        """By a way that needs no BackupX: the database, the dispatcher's key and age."""
        with sqlite3.connect(f'file:{self.master_state}/backupx.db?mode=ro', uri=True) as database:
            sealed, = database.execute('SELECT sealed FROM repositories WHERE node_id = ? AND target_id = ?',
                                       (node, target)).fetchone()
        opened = subprocess.run(['age', '-d', '-i', self.folder / 'keys' / 'dispatcher-identity'],
                                input=base64.b64decode(sealed), stdout=subprocess.PIPE, check=True)
        return json.loads(opened.stdout)['password']

    def logs(self, run):
        """The text of a run's log."""
        return '\n'.join(line.get('text', '') for line in self.client.items(f'runs/{run}/logs'))

    def tails(self):
        """The ends of all logs, for a failure's message."""
        return '\n'.join(f'--- {name}\n{process.tail(15)}' for name, process in self.processes.items())

    def cli(self, *arguments, check=True, token=True, stdin=None, environment=None):
        """Runs the command line client; the completed process."""
        added = {'BACKUPX_SERVER': self.server, 'HOME': str(self.folder), **(environment or {})}
        if token:
            added['BACKUPX_TOKEN'] = self.client.token
        result = subprocess.run(
            [self.program('cli'), *map(str, arguments)],
            env=clean_environment(**added),
            input='' if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
        if check and result.returncode != 0:
            raise Failed(
                f'backupx {" ".join(map(str, arguments))}: status {result.returncode}: '
                f'{result.stderr}'
            )
        return result


class TlsSuite(Suite):
    """All of it by TLS, with the certificate that the master made for itself; the agent has its pin."""

    tls = True
