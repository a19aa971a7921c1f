#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""New hosts, as the guide has it: a command from the master, pasted into a shell of a bare machine, brings its
agent online; again, it upgrades; and what goes wrong leaves the old agent at work."""

import base64
import gzip
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from agent_package import agent_packages  # noqa: E402
from guest import Guest  # noqa: E402
from installed_guest import InstalledGuest, skip_where_impossible  # noqa: E402
from network import Network  # noqa: E402
from processes import Failed, clean_environment  # noqa: E402

MASTER, SERVER = '10.98.0.1', '10.98.0.2'
PACKAGES = '/usr/share/backupx/agent'
PROMPT = b'READY> '
UNITS = '/etc/systemd/system'

skip_where_impossible()
network = Network()
world = {}

# Writes down what it was called with, and what the container would see.
DOCKER = '''#!/bin/sh
echo "docker $*" >>/root/docker.log
case "$1 $2" in
'compose version') exit "$(cat /root/docker.compose)" ;;
'build -t') ls "$4/backupx-agent/libexec" "$4/certs" >>/root/docker.log ;;
'exec backupx-agent') exit "$(cat /root/docker.exec)" ;;
'logs --tail=100') echo 'the log of the container' ;;
esac
'''
# As the guide has it, and the pin: the master's certificate is its own.
GUIDE_UNIT = '''[Unit]
Description=BackupX Agent
After=network.target

[Service]
Type=simple
User=backupx
Environment="BACKUPX_AGENT_MASTER={master}"
Environment="BACKUPX_AGENT_TOKEN={token}"
Environment="BACKUPX_AGENT_PIN={pin}"
ExecStart=/opt/backupx/backupx agent
Restart=on-failure
RestartSec=10s

[Install]
WantedBy=multi-user.target
'''
# Looks at the arguments of every process, as any user may.
WATCH = '''
import os, select, sys
secrets = list(iter(lambda: sys.stdin.buffer.readline().strip(), b''))
seen, looks = set(), 0
print('watching', flush=True)
while not select.select([0], [], [], 0.01)[0]:
    looks += 1
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{name}/cmdline', 'rb') as file:
                arguments = file.read()
        except OSError:
            continue
        if any(secret in arguments for secret in secrets):
            seen.add(arguments[:60])
print(looks, *seen, sep=chr(10))
'''

# As on a host whose mirror has curl.
APT = '''#!/bin/sh
case "$*" in
*'install -y --no-install-recommends curl'*) cp /root/curl /usr/bin/curl ;;
esac
'''


def setUpModule():
    """A master that has the agent's package, and a machine that has nothing."""
    unittest.addModuleCleanup(clean_up)
    network.__enter__()
    master = world['master'] = InstalledGuest('master', network.add_host('master', MASTER))
    server = world['server'] = Guest('server', network.add_host('server', SERVER))
    for guest in (master, server):
        guest.make_root()
    folder = pathlib.Path(master.path(f'{UNITS}/backupx-api.socket.d'))
    folder.mkdir(parents=True)
    (folder / 'listen.conf').write_text('[Socket]\nListenStream=\nListenStream=0.0.0.0:8340\n')
    folder = pathlib.Path(master.path('/etc/backupx/config.yaml.d'))
    folder.mkdir(parents=True)
    (folder / 'tests.yaml').write_text(f'server:\n  external_url: "https://{MASTER}:8340"\n')
    shutil.copytree(agent_packages(), master.path(PACKAGES), dirs_exist_ok=True)
    (server.root / 'usr/bin/curl').rename(server.root / 'root/curl')  # wget is enough
    for guest in (master, server):
        guest.boot()
    master.start_suite()


def clean_up():
    """Ends both machines and their network."""
    for name in ('server', 'master'):
        if name in world:
            world[name].close()
    network.close()


def backupx(*arguments):
    """The command on the master; what it prints."""
    environment = {'BACKUPX_TOKEN': world['master'].token}
    return world['master'].run('backupx', *arguments, environment=environment).stdout


def make_command(*arguments):
    """The one line for one node."""
    return backupx('nodes', 'install', '--quiet', *arguments).rstrip('\n')


def node(name):
    """What the master knows of a node."""
    return next(n for n in world['master'].get('nodes?limit=500')['items'] if n['name'] == name)


class Terminal:
    """A shell with a terminal on the server, as a person has it."""

    def __init__(self, guest):
        self.fd, slave = pty.openpty()
        enter = ['nsenter', '-t', guest.leader, '-a', '-r', '--']
        self.process = subprocess.Popen(
            [*enter, 'env', '-i', 'HOME=/root', 'TERM=xterm', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'bash',
             '--norc', '--noprofile', '-i'],
            preexec_fn=lambda: os.login_tty(slave), env=clean_environment(),
        )
        os.close(slave)
        self.read_until(b'# ', 120)
        self.paste("PS1='READY> '", 120)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)
        self.process.kill()
        self.process.wait()

    def read_until(self, mark, timeout, shown=b''):
        """What the terminal shows up to and with a mark at its end."""
        deadline = time.monotonic() + timeout
        while not shown.endswith(mark):
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failed(f'the terminal shows no {mark} within {timeout} s:\n{shown[-2000:].decode()}')
            shown += os.read(self.fd, 65536)
        return shown

    def paste(self, line, timeout=180):
        """Pastes a line, presses return; what is shown until the next prompt."""
        return self.read_until(PROMPT, timeout, self.write(line)).decode(errors='replace')

    def write(self, line):
        """Only pastes it; what was shown meanwhile."""
        data, shown = line.encode() + b'\n', b''
        while data:
            # As a terminal does: as much as the shell takes, while it shows what it took.
            data = data[os.write(self.fd, data[:1024]) :]
            while select.select([self.fd], [], [], 0.002)[0]:
                shown += os.read(self.fd, 65536)
        return shown

    def status(self):
        """Of the last command."""
        return int(self.paste('echo "=$?="').split('=')[-2])


class Install(unittest.TestCase):
    """One after the other on the same two machines."""

    maxDiff = None

    def setUp(self):
        self.master, self.server = world['master'], world['server']

    def run_command(self, command, **environment):
        """Runs a command in a shell without a terminal."""
        return self.server.run('sh', '-c', command, check=False, environment=environment, timeout=300)

    def succeed(self, command):
        """The same, and it works; what it printed."""
        result = self.run_command(command)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def fail_with(self, command, text):
        """The same, and it fails saying this."""
        result = self.run_command(command)
        self.assertNotEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(text, result.stdout + result.stderr)
        return result.stderr

    def watch_arguments(self, secrets):
        """Looks at the arguments of all processes of the server until its input ends; then says what it saw."""
        enter = ['nsenter', '-t', self.server.leader, '-a', '-r', '--', '/usr/bin/python3', '-c', WATCH]
        watch = subprocess.Popen(enter, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment())
        watch.stdin.write('\n'.join(secrets).encode() + b'\n\n')
        watch.stdin.flush()
        self.assertEqual(watch.stdout.readline(), b'watching\n')
        return watch

    def test_01_pasted(self):
        """From nothing to online in under 30 seconds."""
        command = world['command'] = make_command('web-1')
        packed = command.split("'")[1]
        token = re.search('bxe_[^\']+', gzip.decompress(base64.b64decode(packed)).decode()).group(0)
        watch = self.watch_arguments([token, packed[1000:1040]])
        with Terminal(self.server) as terminal:
            begun = time.monotonic()
            shown = terminal.paste(command)
            took = time.monotonic() - begun
            self.assertEqual(terminal.status(), 0, shown)
        looks, *seen = watch.communicate(timeout=120)[0].decode().splitlines()
        self.assertGreater(int(looks), 20)
        self.assertEqual(seen, [], 'a secret in the arguments of a process')
        self.assertIn('web-1 is online', shown)
        self.assertEqual(node('web-1')['status'], 'online')
        self.assertLess(took, 30)
        print(f'online after {took:.1f} s', file=sys.stderr)
        show = self.server.show
        self.assertEqual(show('backupx-agent.service', 'ActiveState'), 'active')
        self.assertEqual(show('backupx-agent.service', 'UnitFileState'), 'enabled')
        self.assertEqual(show('backupx-agent.service', 'User'), 'backupx')
        self.assertIn('/opt/backupx-agent/', show('backupx-agent.service', 'ExecStart'))
        self.assertEqual(show('backupx-backup.socket', 'ActiveState'), 'active')
        self.assertEqual(show('backupx-agent-check@default.timer', 'ActiveState'), 'active')
        modes = self.server.shell('stat -c "%a %U" /etc/backupx-agent/token /var/lib/backupx-agent/token')
        self.assertEqual(modes.split('\n')[:2], ['600 root', '600 backupx'])
        # Nothing is left over, and no secret stands where others see it.
        left = self.server.shell('ls -A /opt /tmp /var/lib/backupx-agent')
        self.assertNotIn('.backupx-agent.', left)
        self.assertNotIn('.install.', left)
        self.assertNotIn('bxe_', self.server.shell('systemctl show backupx-agent.service'))
        self.assertNotIn('bxe_', self.server.journal())

    def test_02_work(self):
        """The new node backs up through the relay, and gets it back."""
        self.server.shell('mkdir -p /srv/data && echo precious >/srv/data/file')
        target = self.master.make_target('relay', kind='relay')
        node_id = node('web-1')['id']
        world['task'] = self.master.make_task('data', ['/srv/data'], [target], node_id=node_id,
                                              encryption='sealed')
        run = self.master.wait_run(self.master.start_run(world['task']))
        self.assertEqual(run['state'], 'succeeded', run)
        there = {'node_id': node_id, 'path': '/srv/restored'}
        restored = self.master.restore(run['id'], '/srv/restored', destination=there)
        self.assertEqual(restored['state'], 'succeeded')
        self.assertEqual(self.server.shell('cat /srv/restored/srv/data/file'), 'precious\n')

    def test_03_same_command_again(self):
        """It was used, but by this very host: an upgrade."""
        self.server.shell('touch /opt/backupx-agent/stale')
        shown = self.succeed(world['command'])
        self.assertIn('stays it', shown)
        self.assertIn('web-1 is online', shown)
        self.server.run('test', '!', '-e', '/opt/backupx-agent/stale')

    def test_04_upgrade_under_a_job(self):
        """A new command for the node, while a backup runs: the job goes on and ends well."""
        self.server.shell('head -c 24M /dev/urandom >/srv/data/large')
        pid = self.server.show('backupx-agent.service', 'MainPID')
        network.set_rate('server', 3)  # a minute's work, of which the upgrade takes a part
        try:
            run = self.master.start_run(world['task'])
            self.master.wait_run(run, ('running',))
            jobs = "systemctl list-units --plain --no-legend 'backupx-backup@*'"
            # It is accepted before it is started.
            job = self.server.wait(lambda: self.server.shell(jobs), what='the job')
            self.succeed(make_command('web-1', '--again'))
            self.assertNotEqual(self.server.show('backupx-agent.service', 'MainPID'), pid)
            self.assertEqual(self.master.get(f'runs/{run}')['state'], 'running')
            self.assertIn(job.split()[0], self.server.shell('systemctl list-units --plain --no-legend'))
        finally:
            network.set_rate('server', None)
        ended = self.master.wait_run(run)
        self.assertEqual(ended['state'], 'succeeded', ended)
        self.assertTrue(ended['targets'][0]['key'].endswith(f'-{run}-1/'), ended['targets'])

    def test_05_wrong_package(self):
        """A package that was changed on its way is refused, and the agent stays as it is."""
        pid = self.server.show('backupx-agent.service', 'MainPID')
        command = make_command('web-1', '--again')
        package = next(pathlib.Path(self.master.path(PACKAGES)).glob('*.tar.gz'))
        content = package.read_bytes()
        try:
            package.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            self.fail_with(command, 'the checksum of the package is wrong: nothing was installed')
        finally:
            package.write_bytes(content)
        signature = pathlib.Path(f'{package}.sig')
        if signature.exists():
            text = signature.read_text()
            try:
                signature.write_text('A' * 86 + '==\n')
                self.fail_with(command, 'the signature of the package is wrong: nothing was installed')
            finally:
                signature.write_text(text)
        self.assertEqual(self.server.show('backupx-agent.service', 'MainPID'), pid)
        self.assertNotIn('.backupx-agent.', self.server.shell('ls -A /opt'))
        self.assertEqual(node('web-1')['status'], 'online')
        self.succeed(command)  # nothing was used up

    def test_05_another_master(self):
        """Somebody else answers in the master's place: its key is not the one that the command pins."""
        script = gzip.decompress(base64.b64decode(make_command('web-1', '--again').split("'")[1])).decode()
        pin = re.search(r"^BX_PIN='(sha256//[A-Za-z0-9+/]{43}=)'$", script, re.M).group(1)
        other = 'sha256//' + base64.b64encode(bytes(32)).decode()
        # What enrols and waits has it from the same place.
        self.server.run('sh', '-c', 'umask 77; cat >/root/other.sh', stdin=script.replace(pin, other))
        self.fail_with('sh /root/other.sh', 'the download of')
        self.server.run('cp', '/root/curl', '/usr/bin/curl')
        self.fail_with('sh /root/other.sh', 'the download of')
        self.server.run('rm', '/usr/bin/curl', '/root/other.sh')

    def test_06_interrupted(self):
        """Killed in the middle of the download: the agent stays, and the command works afterwards."""
        pid = self.server.show('backupx-agent.service', 'MainPID')
        command = make_command('web-1', '--again')
        network.set_rate('master', 2)
        try:
            with Terminal(self.server) as terminal:
                terminal.write(command)
                self.server.wait(lambda: self.server.run('sh', '-c', 'ls /opt/.backupx-agent.*/package',
                                                         check=False).returncode == 0, what='the download')
                os.write(terminal.fd, b'\x03')
                terminal.read_until(PROMPT, 120)
        finally:
            network.set_rate('master', None)
        self.server.wait(lambda: '.backupx-agent.' not in self.server.shell('ls -A /opt'),
                         what='a clean end')
        self.assertEqual(self.server.show('backupx-agent.service', 'MainPID'), pid)
        self.succeed(command)

    def test_07_url_command(self):
        """The short command fetches the installer once."""
        command = make_command('web-1', '--again', '--url')
        self.assertLess(len(command), 1200)
        self.assertIn('web-1 is online', self.succeed(command))
        self.fail_with(command, 'cannot be fetched')

    def test_07_killed_between_two_renames(self):
        """The worst moment: the next run puts the old agent back before it begins."""
        self.server.shell(
            'mkdir /opt/.backupx-agent.killed; mv /opt/backupx-agent /opt/.backupx-agent.killed/old'
        )
        command = make_command('web-1', '--again')
        package = next(pathlib.Path(self.master.path(PACKAGES)).glob('*.tar.gz'))
        content = package.read_bytes()
        try:
            package.write_bytes(b'damaged')
            self.fail_with(command, 'checksum')
        finally:
            package.write_bytes(content)
        self.server.run('/opt/backupx-agent/bin/backupx', '--version')
        self.assertNotIn('.backupx-agent.', self.server.shell('ls -A /opt'))

    def test_07_reboot(self):
        """The host comes back with its agent."""
        self.server.reboot()
        self.server.wait(
            lambda: self.server.show('backupx-agent.service', 'StatusText').startswith('Connected'),
            what='contact after the reboot',
        )

    def test_08_refusals(self):
        """What cannot work says so before anything is touched."""
        again = make_command('web-1', '--again')
        self.server.run('sh', '-c', 'umask 77; cat >/root/again.sh', stdin=again + '\n')
        result = self.master.run('sh', '-c', make_command('web-1', '--again'), check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("it is the node 'local'", result.stderr)
        self.fail_with(make_command('debug-0', '--mode', 'foreground'), 'backupx agent uninstall')
        lock = 'flock /run/backupx-agent-install.lock '
        self.fail_with(lock + "sh -c '. /root/again.sh'", 'another installer')
        user = self.server.run('setpriv', '--reuid=65534', '--clear-groups', 'env', 'PATH=/usr/bin', 'sh', '-c',
                               make_command('web-1', '--again') + ' 2>&1', check=False)
        self.assertNotEqual(user.returncode, 0)

    def test_09_no_curl(self):
        """Neither curl nor wget: the package manager brings curl, or it is said what to do."""
        command = make_command('web-1', '--again')
        apt = 'mkdir -p /usr/local/sbin; cd /usr/local/sbin; cat >apt-get; chmod 755 apt-get'
        self.server.shell('mv /usr/bin/wget /root/wget')
        try:
            self.server.run('sh', '-c', apt, stdin='#!/bin/sh\nexit 100\n')
            self.fail_with(command, 'install curl or wget')
            self.server.run('sh', '-c', apt, stdin=APT)
            self.assertIn('web-1 is online', self.succeed(command))
        finally:
            self.server.shell('mv /root/wget /usr/bin/wget; rm -f /usr/local/sbin/apt-get /usr/bin/curl')

    def test_09_offline(self):
        """A node that does not come online: the reason is shown, and the status is not zero."""
        command = make_command('web-1', '--again')
        self.server.shell(f'mkdir -p {UNITS}/backupx-agent.service.d && printf '
                          f'"[Service]\\nEnvironment=BACKUPX_AGENT_CAPACITY=0\\n" '
                          f'>{UNITS}/backupx-agent.service.d/broken.conf')
        shown = self.fail_with(command, 'did not come online within 30 s')
        self.assertIn('backupx-agent.service', shown)
        self.assertIn('capacity', shown)
        self.server.shell(f'rm -r {UNITS}/backupx-agent.service.d; systemctl daemon-reload')

    def test_10_uninstall(self):
        """Programs and units go, and with --purge everything else."""
        self.server.shell('install -d -o backupx -g backupx -m 0700 /var/cache/backupx-agent')
        shown = self.server.shell('PATH=/usr/local/bin:$PATH backupx agent uninstall')
        self.assertIn('was removed', shown)
        for path in ('/opt/backupx-agent', f'{UNITS}/backupx-agent.service', '/usr/local/bin/backupx',
                     '/var/cache/backupx-agent'):
            self.server.run('test', '!', '-e', path)
        self.assertEqual(self.server.show('backupx-agent.service', 'LoadState'), 'not-found')
        self.assertEqual(self.server.shell("systemctl list-units --all --no-legend 'backupx*'"), '')
        self.server.run('test', '-e', '/var/lib/backupx-agent/identity')
        # The same key is there: the node comes back with it.
        self.succeed(make_command('web-1', '--again'))
        self.server.shell('/opt/backupx-agent/bin/backupx agent uninstall --purge')
        for path in ('/etc/backupx-agent', '/var/lib/backupx-agent', '/opt/backupx-agent'):
            self.server.run('test', '!', '-e', path)
        self.assertNotEqual(self.server.run('id', 'backupx', check=False).returncode, 0)

    def test_11_bundle(self):
        """One script for many nodes installs the one that is named."""
        backupx('nodes', 'install', 'db-1', 'db-2', 'db-3', '--script', '/root/agents.sh')
        text = pathlib.Path(self.master.path('/root/agents.sh')).read_text()
        self.server.run('sh', '-c', 'cat >/root/agents.sh', stdin=text)
        self.fail_with('sh /root/agents.sh', "'db-3'")
        self.assertIn('db-2 is online', self.succeed('sh /root/agents.sh db-2'))
        self.assertEqual((node('db-1')['status'], node('db-3')['status']), ('pending', 'pending'))
        self.server.shell('/opt/backupx-agent/bin/backupx agent uninstall --purge')

    def test_12_foreground(self):
        """The command that is printed runs the agent, by the guide's variables alone."""
        shown = self.succeed(make_command('debug', '--mode', 'foreground'))
        command = next(line for line in shown.splitlines() if 'BACKUPX_AGENT_MASTER' in line).strip()
        self.assertEqual(self.server.show('backupx-agent.service', 'LoadState'), 'not-found')
        self.server.run('systemd-run', '--unit=foreground', 'sh', '-c', f'exec {command}')
        self.master.wait(lambda: node('debug')['status'] == 'online', what='the agent in the foreground')
        self.server.run('systemctl', 'stop', 'foreground')

    def test_12_unit_by_hand(self):
        """The unit that the guide shows, written by an administrator: address and token are variables in it."""
        self.succeed(make_command('by-hand-programs', '--mode', 'foreground'))
        pin = re.search(r'sha256//[A-Za-z0-9+/=]+', gzip.decompress(
            base64.b64decode(make_command('by-hand-pin').split("'")[1])).decode()).group(0)
        made = self.master.post('nodes', {'name': 'by-hand'})
        unit = GUIDE_UNIT.format(master=f'https://{MASTER}:8340', token=made['token'], pin=pin)
        self.server.run('sh', '-c', f'cat >{UNITS}/backupx-agent.service', stdin=unit)
        self.server.shell(
            'rm -rf /var/lib/backupx-agent/* && mkdir -p /opt/backupx /srv/plain && echo plain >/srv/plain/file && '
            'ln -sf /opt/backupx-agent/bin/backupx /opt/backupx/backupx && systemctl daemon-reload && '
            'systemctl enable --now backupx-agent'
        )
        self.master.wait(lambda: node('by-hand')['status'] == 'online', what='the agent of the unit by hand')
        target = self.master.make_target('by-hand', kind='relay')
        task = self.master.make_task('by-hand', ['/srv/plain'], [target], node_id=made['id'])
        self.assertEqual(self.master.wait_run(self.master.start_run(task))['state'], 'succeeded')
        self.server.shell(
            f'systemctl disable --now backupx-agent; rm -r /opt/backupx {UNITS}/backupx-agent.service; '
            'systemctl daemon-reload; /opt/backupx-agent/bin/backupx agent uninstall --purge'
        )

    def test_13_docker(self):
        """The container gets the guide's variables; where it does not come online, docker tells why."""
        place = 'mkdir -p /usr/local/sbin; cd /usr/local/sbin; cat >docker; chmod 755 docker'
        self.server.run('sh', '-c', place, stdin=DOCKER)
        self.server.shell('mkdir -p /etc/ssl/certs; touch /etc/ssl/certs/ca-certificates.crt')
        for compose in (0, 1):
            self.server.shell(f'echo {compose} >/root/docker.compose; echo 0 >/root/docker.exec')
            self.succeed(make_command(f'box-{compose}', '--mode', 'docker'))
            log = self.server.shell('cat /root/docker.log; rm /root/docker.log')
            self.assertIn('backupx-agent\nbackupx-backint\nbackupx-hook\nbackupx-job', log)
            self.assertIn('ca-certificates.crt', log)
            self.assertIn('exec backupx-agent /opt/backupx-agent/libexec/backupx-agent wait-online', log)
            how = 'compose -f /etc/backupx-agent/compose.yml -p backupx-agent up -d' if compose == 0 else (
                'run -d --name backupx-agent --restart unless-stopped --env-file /etc/backupx-agent/docker.env'
            )
            self.assertIn(f'docker {how}', log)
            self.assertNotIn('bxe_', log)
        variables = self.server.shell('cat /etc/backupx-agent/docker.env')
        self.assertIn(f'BACKUPX_AGENT_MASTER=https://{MASTER}:8340\n', variables)
        self.assertRegex(variables, r'BACKUPX_AGENT_TOKEN=bxe_\S+\n')
        self.assertIn('BACKUPX_AGENT_TEMP_DIR=/var/lib/backupx-agent/tmp\n', variables)
        self.assertEqual(self.server.shell('stat -c %a /etc/backupx-agent/docker.env'), '600\n')
        self.assertIn('- backupx-agent:/var/lib/backupx-agent\n',
                      self.server.shell('cat /etc/backupx-agent/compose.yml'))
        self.server.shell('echo 1 >/root/docker.exec')
        shown = self.fail_with(make_command('box-3', '--mode', 'docker'), 'did not come online')
        self.assertIn('the log of the container', shown)
        log = self.server.shell('cat /root/docker.log')
        self.assertIn('docker ps -a', log)
        self.assertIn('docker logs --tail=100 backupx-agent', log)


if __name__ == '__main__':
    unittest.main(verbosity=2)
