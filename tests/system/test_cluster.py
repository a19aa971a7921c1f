#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A master and a server in two booted machines, joined by a network of their own: what a run does when the
network between them is cut, when the master reboots, and when the server dies, each in the middle of a backup.
The states must be true at every moment; what can go on goes on; the rest says why; and afterwards all is
online again by itself.
"""

import datetime
import os
import pathlib
import shutil
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import trees  # noqa: E402
from installed_guest import InstalledGuest, skip_where_impossible  # noqa: E402
from network import Network  # noqa: E402
from suite import build_folder  # noqa: E402

LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
# Seconds. A node is offline after 45 of them; a relay upload outlives two minutes without its master.
CUT = 120 if LONG else 52
OFFLINE = 45
BACK_ONLINE = 180
MASTER, SERVER = '10.99.0.1', '10.99.0.2'
SOURCE = '/srv/source'
# So that a backup of LARGE bytes over the network takes about half a minute.
SLOW = 12
LARGE = 40 << 20
CLOCK_OFF = '/usr/lib/libclock-off.so'

skip_where_impossible()
network = Network()
world = {}


def pin_of_master():
    """What the master's journal tells an administrator."""
    found = world['master'].shell("journalctl -u backupx-api -o cat -g 'pin of our certificate is'")
    return found.strip().splitlines()[-1].split()[-1].rstrip('.')


def configure_agent(guest, token):
    """What an administrator writes to connect a server."""
    folder = pathlib.Path(guest.path('/etc/backupx-agent'))
    folder.mkdir(exist_ok=True)
    (folder / 'config.yaml').write_text(f'master: https://{MASTER}:8340\npin: {pin_of_master()}\n')
    (folder / 'token').touch(mode=0o600)
    (folder / 'token').write_text(token + '\n')


def setUpModule():
    """A master that listens to the network, a server whose agent is connected, and something to back up."""
    unittest.addModuleCleanup(clean_up)
    network.__enter__()
    master = world['master'] = InstalledGuest('master', network.add_host('master', MASTER))
    server = world['server'] = InstalledGuest('server', network.add_host('server', SERVER))
    for guest in (master, server):
        guest.make_root()
    folder = pathlib.Path(master.path('/etc/systemd/system/backupx-api.socket.d'))
    folder.mkdir(parents=True)
    (folder / 'listen.conf').write_text('[Socket]\nListenStream=\nListenStream=0.0.0.0:8340\n')
    for guest in (master, server):
        guest.boot()
    master.start_suite()
    made = master.post('nodes', {'name': 'web'})
    world['node'] = made['id']
    configure_agent(server, made['token'])
    server.run('systemctl', 'enable', '--now', 'backupx-agent.service')
    wait_online()
    server.run('mkdir', SOURCE)
    trees.make_small(pathlib.Path(server.path(SOURCE)))
    server.shell(f'head -c {LARGE} /dev/urandom >{SOURCE}/large')
    server.run('install', '-d', '-o', 'backupx', '-m', '0700', '/var/lib/backupx-agent/storage/disk')
    world['disk'] = master.make_target('disk')
    world['relay'] = master.make_target('relay', kind='relay')
    for name, targets in (('both', ['disk', 'relay']), ('local', ['disk'])):
        world[name] = master.make_task(
            name, [SOURCE], [world[t] for t in targets], node_id=made['id'], encryption='sealed'
        )


def clean_up():
    """Ends both machines and their network."""
    for name in ('server', 'master'):
        if name in world:
            world[name].close()
    network.close()


def node():
    """What the master knows of the server."""
    return world['master'].get(f'nodes/{world["node"]}')


def wait_online(timeout=BACK_ONLINE):
    """Waits until the master sees the server."""
    world['master'].wait(lambda: node()['status'] == 'online', timeout, 'the server being online')


class Cluster(unittest.TestCase):
    """One after the other on the same two machines."""

    def setUp(self):
        self.master, self.server = world['master'], world['server']
        network.set_rate('server', None)

    def run_state(self, run):
        """The state of a run, now."""
        return self.master.get(f'runs/{run}')['state']

    def start_slow(self, task='both'):
        """Starts a backup, and returns its run when it is in its middle."""
        network.set_rate('server', SLOW)
        run = self.master.start_run(world[task])
        part = pathlib.Path(self.master.path('/var/lib/backupx/relay'))
        before = sum(f.stat().st_size for f in part.rglob('*') if f.is_file())

        def in_the_middle():
            now = sum(f.stat().st_size for f in part.rglob('*') if f.is_file())
            return now > before + (8 << 20)

        self.master.wait(in_the_middle, what='the middle of the backup')
        self.assertEqual(self.run_state(run), 'running')
        return run

    def archives(self, run):
        """Committed archives of a run: (on the server's disk, behind the relay)."""
        places = ((self.server, '/var/lib/backupx-agent/storage'), (self.master, '/var/lib/backupx/relay'))
        return tuple(
            len(list(pathlib.Path(guest.path(path)).glob(f'**/*-{run}-*/manifest*')))
            for guest, path in places
        )

    def test_1_backup_and_restore_on_another_node(self):
        """Sealed, to a disk of the server and to the master; it comes back on the master."""
        run = self.master.wait_run(self.master.start_run(world['both']))
        self.assertEqual(run['state'], 'succeeded', run)
        self.assertEqual(self.archives(run['id']), (1, 1))
        again = self.master.restore(run['id'], '/srv/back')
        self.assertEqual(again['state'], 'succeeded', again)
        source = pathlib.Path(self.server.path(SOURCE))
        self.assertEqual(trees.differences(source, pathlib.Path(self.master.path(f'/srv/back{SOURCE}'))), [])

    def test_2_network_is_cut(self):
        """An upload waits for the network and ends green; the node is offline in between."""
        run = self.start_slow()
        network.cut('server')
        cut = time.monotonic()
        try:
            self.assertEqual(node()['status'], 'online')
            shown = self.master.wait(
                lambda: (it := node())['status'] == 'offline' and it, OFFLINE + 60, 'the server being offline'
            )
            seen = datetime.datetime.fromisoformat(shown['last_seen'].replace('Z', '+00:00')).timestamp()
            self.assertGreater(time.time() - seen, OFFLINE - 1)
            while time.monotonic() - cut < CUT:
                self.assertEqual(self.run_state(run), 'running')
                time.sleep(1)
        finally:
            network.plug('server')
        network.set_rate('server', None)
        wait_online()
        shown = self.master.wait_run(run)
        self.assertEqual(shown['state'], 'succeeded', shown)
        self.assertEqual(self.archives(run), (1, 1))

    def test_3_job_ends_while_the_network_is_cut(self):
        """A backup that needs no network ends without it; its result is told afterwards."""
        self.server.shell(f'head -c 1G /dev/urandom >{SOURCE}/huge')
        run = self.master.start_run(world['local'])
        self.master.wait_run(run, ('running',))
        # A fast disk would be done before the cable is out.
        self.server.run('systemctl', 'kill', '--signal=STOP', 'backupx-backup@*')
        network.cut('server')
        self.assertEqual(self.run_state(run), 'running')
        self.server.run('systemctl', 'kill', '--signal=CONT', 'backupx-backup@*')
        try:
            self.server.wait(lambda: self.archives(run) == (1, 0), what='the archive')
            self.server.wait(
                lambda: not self.server.run('systemctl', 'list-units', '-q', 'backupx-backup@*').stdout,
                what='the end of the job',
            )
            self.assertEqual(self.run_state(run), 'running')
        finally:
            network.plug('server')
            self.server.run('rm', f'{SOURCE}/huge')
        shown = self.master.wait_run(run)
        self.assertEqual(shown['state'], 'succeeded', shown)
        self.assertEqual(self.archives(run), (1, 0))

    def test_4_master_reboots(self):
        """The job goes on; the master takes up where it was, from what it has on disk."""
        run = self.start_slow()
        self.master.reboot()
        self.master.wait(lambda: self.master.curl('/health')[0] == 200, what='an answer of the API')
        self.assertEqual(self.run_state(run), 'running')
        network.set_rate('server', None)
        shown = self.master.wait_run(run)
        self.assertEqual(shown['state'], 'succeeded', shown)
        self.assertEqual(self.archives(run), (1, 1))
        wait_online()

    def test_5_server_dies(self):
        """The node goes offline; back again, its agent tells that the job is gone, and why."""
        run = self.start_slow()
        self.server.kill()
        self.assertEqual(self.run_state(run), 'running')
        self.master.wait(lambda: node()['status'] == 'offline', OFFLINE + 60, 'the server being offline')
        self.assertNotEqual(self.run_state(run), 'succeeded')
        super(InstalledGuest, self.server).boot()
        wait_online()
        shown = self.master.wait_run(run)
        self.assertEqual(shown['state'], 'interrupted', shown)
        self.assertEqual(shown['error']['code'], 'AGENT_RESTARTED', shown)
        self.assertEqual(self.archives(run), (0, 0))
        network.set_rate('server', None)
        shown = self.master.wait_run(self.master.start_run(world['both']))
        self.assertEqual(shown['state'], 'succeeded', shown)

    def set_clock(self, offset):
        """Lets the programs of the agent see a time of day that is so many seconds ahead."""
        shutil.copy(build_folder() / 'tests/system/libclock-off.so', self.server.path(CLOCK_OFF))
        for unit in ('backupx-agent.service', 'backupx-backup@.service'):
            folder = pathlib.Path(self.server.path(f'/etc/systemd/system/{unit}.d'))
            folder.mkdir(exist_ok=True)
            setting = f'LD_PRELOAD={CLOCK_OFF} BACKUPX_TEST_CLOCK={offset}'
            (folder / 'clock.conf').write_text(f'[Service]\nEnvironment={setting}\n')
        self.server.run('systemctl', 'daemon-reload')
        self.server.run('systemctl', 'restart', 'backupx-agent.service')

    def test_6_clock_is_wrong(self):
        """An hour ahead, or behind: it works all the same, and the node says what is wrong."""
        for offset in (3600, -3600):
            self.set_clock(offset)
            self.master.wait(
                lambda: 'CLOCK_SKEW' in [reason['code'] for reason in node()['health_reasons']],
                what='the clock being found wrong',
            )
            self.assertEqual((node()['status'], node()['health']), ('online', 'degraded'))
            begun = int(self.master.shell('date +%s')) - 1
            run = self.master.wait_run(self.master.start_run(world['both']))
            self.assertEqual(run['state'], 'succeeded', run)
            for field in ('queued_at', 'started_at', 'finished_at'):
                when = datetime.datetime.fromisoformat(run[field].replace('Z', '+00:00')).timestamp()
                self.assertTrue(begun <= when <= begun + 300, f'{field}: {run[field]}')
        self.set_clock(0)
        self.master.wait(lambda: node()['health'] == 'healthy', what='the clock being right again')


if __name__ == '__main__':
    unittest.main(verbosity=2)
