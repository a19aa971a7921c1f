#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The installed units: they load, start by their sockets, stay within their limits and come back."""

import json
import os
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from installed_guest import DAEMONS, InstalledGuest, skip_where_impossible  # noqa: E402
from suite import ROOT  # noqa: E402

# The highest exposure that systemd-analyze security may find, in tenths.
EXPOSURE = {
    'backupx-api.service': 10,
    'backupx-scheduler.service': 15,
    'backupx-dispatcher.service': 15,
    'backupx-agent.service': 15,
    'backupx-agent@.service': 15,
    'backupx-agent-check@.service': 10,
    'backupx-agent-limits.service': 15,
    'backupx-keys.service': 30,
    'backupx-self-backup.service': 30,
    'backupx-backup@.service': 20,
    'backupx-probe@.service': 20,
    'backupx-restore@.service': 36,
}
CHECK = 'backupx-agent-check@default.service'
CHECK_PASSED = 'b24ab42f27334ab194203cf14826833f'
CHECK_FAILED = 'ccec9acab1c14b1bb46250ec3f52a847'
NAMES = {'api': 'Api1', 'scheduler': 'Scheduler1', 'dispatcher': 'Dispatcher1', 'agent': 'Agent1'}

skip_where_impossible()
guest = InstalledGuest('units')


def setUpModule():
    """Boots one guest for all tests."""
    guest.make_root()
    guest.boot()


def tearDownModule():
    """Ends it."""
    guest.close()


def describe(interface):
    """What an interface has, in a form that can be compared: member -> kind, arguments, access."""
    found = {}
    for member in interface:
        if member.tag == 'annotation':
            continue
        arguments = [(arg.get('type'), arg.get('direction', 'out')) for arg in member.iter('arg')]
        found[member.get('name')] = (member.tag, arguments, member.get('type'), member.get('access'))
    return found


class Units(unittest.TestCase):
    """In the order of their names: the first ones need nothing that runs."""

    def test_01_verify(self):
        """systemd finds nothing to say about the units."""
        units = sorted(
            name
            for name in os.listdir(guest.path('/usr/lib/systemd/system'))
            if name.startswith('backupx')
        )
        self.assertGreater(len(units), 15)
        result = guest.run(
            'systemd-analyze',
            'verify',
            '--man=yes',
            *(f'/usr/lib/systemd/system/{name}'.replace('@.', '@instance.') for name in units),
            check=False,
        )
        ours = [line for line in result.stderr.splitlines() if 'backupx' in line]
        self.assertEqual(ours, [])

    def test_02_exposure(self):
        """Each sandbox is as tight as it was tried to be."""
        for unit, limit in EXPOSURE.items():
            result = guest.run(
                'systemd-analyze',
                'security',
                '--no-pager',
                f'--threshold={limit}',
                '--offline=true',
                f'/usr/lib/systemd/system/{unit}'.replace('@.', '@instance.'),
                check=False,
            )
            self.assertEqual(result.returncode, 0, f'{unit}: {result.stdout.splitlines()[-1:]}')

    def test_03_started_by_socket(self):
        """Each daemon starts from stopped by a connection to its private socket."""
        guest.run(
            'systemctl',
            'start',
            'backupx-scheduler.socket',
            'backupx-dispatcher.socket',
            'backupx-api.socket',
            'backupx-api-bus.socket',
        )
        for daemon in DAEMONS:
            # Siblings call each other as soon as they run, so all of them have to be down at once: one that
            # is stopped last may have started another one again.
            units = [f'backupx-{other}.service' for other in DAEMONS]

            def all_stopped():
                guest.run('systemctl', 'stop', *units)
                return all(guest.show(each, 'ActiveState') == 'inactive' for each in units)

            guest.wait(all_stopped, what='all daemons being stopped at once')
            unit = f'backupx-{daemon}.service'
            name = NAMES[daemon]
            guest.run(
                'busctl',
                f'--address=unix:path=/run/backupx/{daemon}.sock',
                'introspect',
                f'org.backupx.{name}',
                f'/org/backupx/{name}',
                check=False,
            )
            guest.wait(
                lambda: guest.show(unit, 'ActiveState')
                == 'active',  # pylint: disable=cell-var-from-loop
                what=f'{unit} being started by its socket',
            )

    def test_04_started_by_http(self):
        """The API starts from stopped by a request."""
        guest.run('systemctl', 'stop', 'backupx-api.service')
        self.assertEqual(guest.show('backupx-api.service', 'ActiveState'), 'inactive')
        self.assertEqual(guest.curl('/health')[0], 200)
        self.assertEqual(guest.show('backupx-api.service', 'ActiveState'), 'active')

    def test_05_started_by_bus(self):
        """Each daemon starts from stopped by a call on the system bus, and its socket with it."""
        for daemon in DAEMONS:
            sockets = ['backupx-api-bus.socket'] if daemon == 'api' else []
            guest.run(
                'systemctl', 'stop', f'backupx-{daemon}.socket', *sockets, f'backupx-{daemon}.service'
            )
            name = NAMES[daemon]
            guest.run(
                'busctl',
                'get-property',
                f'org.backupx.{name}',
                f'/org/backupx/{name}',
                f'org.backupx.{name}',
                'Version',
            )
            self.assertEqual(guest.show(f'backupx-{daemon}.service', 'ActiveState'), 'active')
            self.assertEqual(guest.show(f'backupx-{daemon}.socket', 'ActiveState'), 'active')

    def test_06_target(self):
        """The target starts everything, the agent of this machine too."""
        guest.start_suite()
        for unit in [f'backupx-{daemon}.service' for daemon in DAEMONS] + ['backupx-agent.service']:
            self.assertEqual(
                guest.show(unit, 'ActiveState'), 'active', guest.journal('-u', unit, '-n', '20')
            )
            self.assertEqual(guest.show(unit, 'SubState'), 'running')
            self.assertNotEqual(guest.show(unit, 'StatusText'), '', f'{unit} has no STATUS=')
        self.assertEqual(guest.run('systemctl', 'list-units', '--failed', '--no-legend', 'backupx*').stdout, '')

    def test_07_introspection(self):
        """The XML files are what the running daemons say."""
        for daemon, name in NAMES.items():
            text = guest.run(
                'busctl', 'introspect', '--xml-interface', f'org.backupx.{name}', f'/org/backupx/{name}'
            ).stdout
            running = xml.etree.ElementTree.fromstring(text)
            shipped = xml.etree.ElementTree.parse(ROOT / f'dbus/org.backupx.{name}.xml').getroot()
            for interface in shipped.iter('interface'):
                found = [i for i in running.iter('interface') if i.get('name') == interface.get('name')]
                self.assertEqual(len(found), 1, f'{daemon} does not export {interface.get("name")}')
                self.assertEqual(describe(found[0]), describe(interface), interface.get('name'))
            public = [
                i.get('name')
                for i in running.iter('interface')
                if i.get('name').startswith('org.backupx') and '.Internal.' not in i.get('name')
            ]
            self.assertEqual(public, [i.get('name') for i in shipped.iter('interface')])

    def test_08_bus_policy(self):
        """A user of no group reads nothing, one of backupx-read reads and changes nothing."""
        guest.shell('useradd -M stranger; useradd -M -G backupx-read reader')
        call = [
            'busctl',
            'call',
            'org.backupx.Dispatcher1',
            '/org/backupx/Dispatcher1',
            'org.backupx.Dispatcher1',
        ]
        for user, member, allowed in (
            ('stranger', 'ListNodes', False),
            ('reader', 'ListNodes', True),
            ('reader', 'Kick', False),
            ('root', 'Kick', True),
        ):
            result = guest.run('runuser', '-u', user, '--', *call, member, check=False)
            self.assertEqual(result.returncode == 0, allowed, f'{user} {member}: {result.stderr}')

    def test_09_log_level(self):
        """systemctl changes the log level of a running daemon."""
        for daemon in NAMES:
            unit = f'backupx-{daemon}.service'
            guest.run('systemctl', 'service-log-level', unit, 'debug')
            self.assertEqual(guest.run('systemctl', 'service-log-level', unit).stdout.strip(), 'debug')
            guest.run('systemctl', 'service-log-level', unit, 'info')

    def test_10_own_users(self):
        """Every program runs as its own user, none as root; the agent is in none of the master's groups."""
        for daemon in DAEMONS:
            status = guest.shell(f'cat /proc/{guest.main_pid(f"backupx-{daemon}.service")}/status')
            uid = int(guest.run('id', '-u', f'backupx-{daemon}').stdout)
            self.assertIn(f'Uid:\t{uid}\t{uid}\t{uid}\t{uid}', status)
            self.assertIn('CapEff:\t0000000000000000', status)
            self.assertIn('NoNewPrivs:\t1', status)
        groups = guest.run('id', '-Gn', 'backupx').stdout.split()
        self.assertEqual(groups, ['backupx'])

    def test_11_modes(self):
        """Database, sockets and keys are for whom they should be."""
        for path, expected in (
            ('/var/lib/backupx', '2770 root:backupx-store'),
            ('/var/lib/backupx/backupx.db', '660 :backupx-store'),
            ('/run/backupx/api.sock', '660 root:backupx-store'),
            ('/run/backupx/dispatcher.sock', '660 root:backupx-store'),
            ('/etc/backupx-agent/token', '600 root:root'),
            ('/etc/credstore.encrypted/backupx.session-key', '600 root:root'),
            ('/etc/credstore.encrypted/backupx.tls-key', '600 root:root'),
            ('/var/lib/backupx-agent', '700 backupx:backupx'),
            ('/run/backupx-agent/backup.sock', '600 backupx:backupx'),
        ):
            mode, owner = expected.split()
            found = guest.run('stat', '-c', '%a %U:%G', path).stdout.strip()
            if owner.startswith(':'):
                found = f'{found.split()[0]} :{found.rsplit(":", 1)[1]}'
            self.assertEqual(found, f'{mode} {owner}', path)

    def test_12_no_secret_in_the_clear(self):
        """The keys on disk are encrypted; the database holds neither of them."""
        store = '/etc/credstore.encrypted'
        identity = guest.shell(
            f'systemd-creds decrypt --name=dispatcher-identity ' f'{store}/backupx.dispatcher-identity -'
        ).strip()
        session = guest.shell(
            f'systemd-creds decrypt --name=session-key {store}/backupx.session-key -'
        ).strip()
        tls = guest.shell(f'systemd-creds decrypt --name=tls-key {store}/backupx.tls-key -').strip()
        self.assertTrue(identity.startswith('AGE-SECRET-KEY-1'))
        self.assertTrue(tls.startswith('MIG'), 'a key as PKCS #8')
        self.assertRegex(session, '^[0-9a-f]{64}$')
        for secret in (identity, session, tls):
            found = guest.run(
                'grep',
                '-rlF',
                '--',
                secret,
                '/var/lib/backupx',
                '/etc/backupx-agent',
                store,
                check=False,
            )
            self.assertEqual(found.stdout, '')

    def test_13_api_dials_nowhere(self):
        """The API's process can open no connection, not even to this machine."""
        pid = guest.main_pid('backupx-api.service')
        guest.shell('systemd-run -q --unit=probe-listener python3 -m http.server 8999 --bind 127.0.0.1')
        guest.wait(
            lambda: guest.run(
                'curl', '-s', '-o', '/dev/null', 'http://127.0.0.1:8999/', check=False
            ).returncode
            == 0,
            what='the listener',
        )
        for address in ('http://127.0.0.1:8999/', SERVER_INSIDE):
            result = guest.run(
                'nsenter',
                '-t',
                pid,
                '-n',
                'curl',
                '-s',
                '-m',
                '3',
                '-o',
                '/dev/null',
                address,
                check=False,
            )
            self.assertNotEqual(result.returncode, 0, f'the network of the API reaches {address}')
        links = json.loads(guest.run('nsenter', '-t', pid, '-n', 'ip', '-j', 'link').stdout)
        self.assertEqual([link['ifname'] for link in links if link['ifname'] != 'lo'], [])
        # And it could not even make such a socket: only AF_UNIX is allowed.
        families = guest.show('backupx-api.service', 'RestrictAddressFamilies')
        self.assertEqual(families, 'AF_UNIX')

    def test_14_watchdog(self):
        """A daemon that hangs is ended by the watchdog and comes back."""
        guest.shell(
            'mkdir -p /run/systemd/system/backupx-scheduler.service.d; '
            'printf "[Service]\\nWatchdogSec=2s\\nTimeoutAbortSec=2s\\n" '
            '>/run/systemd/system/backupx-scheduler.service.d/fast.conf; '
            'systemctl daemon-reload; systemctl restart backupx-scheduler.service'
        )
        before = guest.main_pid('backupx-scheduler.service')
        guest.run('kill', '-STOP', before)
        guest.wait(
            lambda: guest.main_pid('backupx-scheduler.service') not in (0, before),
            120,
            'a new process after the watchdog',
        )
        guest.wait(lambda: guest.show('backupx-scheduler.service', 'ActiveState') == 'active')
        self.assertIn('Watchdog timeout', guest.journal('-u', 'backupx-scheduler.service'))

    def test_15_killed_often(self):
        """Ten kills in a row leave no daemon and no socket failed for good."""
        for daemon in DAEMONS:
            unit = f'backupx-{daemon}.service'
            for _ in range(10):
                before = guest.wait(lambda: guest.main_pid(unit))  # pylint: disable=cell-var-from-loop
                guest.run('kill', '-KILL', before, check=False)
                guest.wait(
                    lambda: guest.main_pid(unit) not in (0, before)
                )  # pylint: disable=cell-var-from-loop
            guest.wait(
                lambda: guest.show(unit, 'SubState') == 'running'
            )  # pylint: disable=cell-var-from-loop
            self.assertEqual(guest.show(f'backupx-{daemon}.socket', 'ActiveState'), 'active')
        self.assertEqual(guest.curl('/health')[0], 200)

    def test_16_stop_and_start(self):
        """Stopping the target stops all of the master; starting it again brings all back, with its data."""
        guest.run('systemctl', 'stop', 'backupx.target')
        # Behind it go the daemons, and behind them their sockets.
        for unit in [f'backupx-{daemon}.{kind}' for kind in ('service', 'socket') for daemon in DAEMONS]:
            guest.wait(lambda name=unit: guest.show(name, 'ActiveState') == 'inactive', what=f'the end of {unit}')
        self.assertEqual(guest.curl('/health')[0], 0)
        guest.run('systemctl', 'start', 'backupx.target')
        guest.wait(lambda: guest.curl('/health')[0] == 200, what='the API after a start')
        self.assertEqual(guest.get('auth/me')['username'], 'admin')
        guest.wait(lambda: guest.get('nodes/1')['status'] == 'online', what='the agent after a restart')

    def check(self):
        """Runs the check of the agent as its timer does; (result, what the journal got)."""
        cursor = guest.run('journalctl', '-n', '0', '--show-cursor').stdout.rpartition('cursor: ')[2].strip()
        result = guest.run('systemctl', 'start', CHECK, check=False)
        return result, guest.journal(f'--after-cursor={cursor}', '-u', CHECK, '-o', 'verbose')

    def test_17_check_timer(self):
        """The agent is checked for as long as it runs."""
        timer = 'backupx-agent-check@default.timer'
        self.assertEqual(guest.show(timer, 'ActiveState'), 'active')
        self.assertIn(timer, guest.run('systemctl', 'list-timers', '--no-pager').stdout)
        self.assertNotIn(guest.show(timer, 'NextElapseUSecMonotonic'), ('', 'infinity', '0'))
        guest.run('systemctl', 'stop', 'backupx-agent.service')
        guest.wait(lambda: guest.show(timer, 'ActiveState') == 'inactive', what='the end of the timer')
        result, journal = self.check()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('No agent is at org.backupx.Agent1', journal)
        self.assertEqual(guest.show('backupx-agent.service', 'ActiveState'), 'inactive')
        guest.run('systemctl', 'start', 'backupx-agent.service')
        guest.wait(lambda: guest.show(timer, 'ActiveState') == 'active', what='the timer')
        guest.wait(lambda: guest.get('nodes/1')['status'] == 'online', what='the agent after a restart')

    def test_18_check(self):
        """A check that finds an error fails its unit, is in the journal, and is seen on the master."""
        guest.wait(lambda: self.check()[0].returncode == 0, what='a check without an error')
        _, journal = self.check()
        self.assertIn(f'MESSAGE_ID={CHECK_PASSED}', journal)
        self.assertRegex(journal, r'ok +jobs +systemd starts them')
        self.assertRegex(journal, r'ok +reading +Jobs can read every file')
        guest.wait(lambda: (guest.get('nodes/1')['last_check'] or {}).get('source') == 'agent')
        guest.wait(lambda: 'tar' in guest.get('nodes/1')['host']['tools'], what='the tools being told')
        guest.shell('install -d /etc/backupx-agent; echo nonsense: 1 >/etc/backupx-agent/policy.yaml')
        result, journal = self.check()
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(guest.show(CHECK, 'ActiveState'), 'failed')
        self.assertIn(CHECK, guest.run('systemctl', '--failed', '--no-pager').stdout)
        self.assertIn(f'MESSAGE_ID={CHECK_FAILED}', journal)
        self.assertIn('/etc/backupx-agent/policy.yaml:1', journal)
        explained = guest.run('journalctl', '-x', f'MESSAGE_ID={CHECK_FAILED}', '--no-pager').stdout
        self.assertIn('backupx agent check', explained)
        guest.wait(lambda: guest.get('nodes/1')['health'] == 'degraded', what='the degraded health')
        guest.run('rm', '/etc/backupx-agent/policy.yaml')
        self.assertEqual(guest.run('backupx', 'agent', 'check', check=False).returncode, 0)
        guest.wait(lambda: guest.get('nodes/1')['health'] == 'healthy', what='the health')
        self.assertEqual(self.check()[0].returncode, 0)
        self.assertNotEqual(guest.show(CHECK, 'ActiveState'), 'failed')

    def test_19_databases(self):
        """The sandbox of a probe shows which servers listen."""
        guest.run(
            'systemd-run', '-q', '--unit=listener', 'python3', '-c',
            'import socket, time; s = socket.socket(socket.AF_UNIX); s.bind("/run/.s.PGSQL.6543"); '
            's.listen(); time.sleep(600)',
        )
        guest.wait(lambda: guest.run('test', '-S', '/run/.s.PGSQL.6543', check=False).returncode == 0)
        answer = guest.post('nodes/1/discover-databases')
        guest.run('systemctl', 'stop', 'listener.service')
        self.assertFalse(answer['incomplete'])
        self.assertIn(('postgresql', 6543), [(s['type'], s['port']) for s in answer['servers']])

    def test_20_pages(self):
        """The man pages that the units name are there."""
        for unit in EXPOSURE:
            text = guest.shell(f'cat /usr/lib/systemd/system/{unit}')
            for line in text.splitlines():
                if line.startswith('Documentation=man:'):
                    page, section = line.removeprefix('Documentation=man:').rstrip(')').split('(')
                    guest.run('test', '-s', f'/usr/share/man/man{section}/{page}.{section}')

    def test_20_weights(self):
        """What the master says becomes the weights of the jobs' slice, and goes again."""
        guest.call('PUT', 'nodes/1', {'limits': {'cpu_weight': 77, 'io_weight': 33}})

        def weights():
            return [guest.show('backupx.slice', name) for name in ('CPUWeight', 'IOWeight')]

        # On a slow machine those of before are being set still when an agent that was just started hears the new
        # ones; they must not get lost.
        folder = '/run/systemd/system/backupx-agent-limits.service.d'
        guest.shell(
            f'mkdir {folder}; printf "[Service]\\nExecStartPost=sleep 3\\n" >{folder}/slow.conf; '
            'systemctl daemon-reload'
        )
        # Its first heartbeat tells, and not only the next one.
        guest.run('systemctl', 'restart', 'backupx-agent.service')
        guest.wait(lambda: weights() == ['77', '33'], what='the new weights')
        guest.shell(f'rm -r {folder}; systemctl daemon-reload')
        group = guest.show('backupx.slice', 'ControlGroup')
        if group and os.path.exists(guest.path(f'/sys/fs/cgroup{group}/cpu.weight')):
            self.assertEqual(guest.run('cat', f'/sys/fs/cgroup{group}/cpu.weight').stdout.strip(), '77')
        guest.call('PUT', 'nodes/1', {'limits': {}})
        guest.run('systemctl', 'restart', 'backupx-agent.service')
        guest.wait(lambda: weights() == ['20', '20'], what='the weights of the unit')
        # Nonsense from the agent's user is no setting.
        guest.shell('echo \'{"cpu_weight":1000000}\' > /var/lib/backupx-agent/limits')
        guest.run('systemctl', 'start', 'backupx-agent-limits.service')
        self.assertEqual(weights(), ['20', '20'])


SERVER_INSIDE = 'http://127.0.0.1:8340/health'


if __name__ == '__main__':
    unittest.main(verbosity=2)
