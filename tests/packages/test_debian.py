#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: every installed file is in one of them, and removing them never takes a backup along. The
long rounds (BACKUPX_TEST_LONG=1) build them, ask lintian, and install, use, upgrade, remove and purge them in a
booted machine."""

import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from guest import Guest, why_not  # noqa: E402
from installed_guest import InstalledGuest  # noqa: E402
from processes import Failed, clean_environment  # noqa: E402
from suite import ROOT, build_folder  # noqa: E402

LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
DEBIAN = ROOT / 'packaging/debian'
PACKAGES = ('backupx-cli', 'backupx-agent', 'backupx-master')
UNITS = ('backupx-api', 'backupx-scheduler', 'backupx-dispatcher', 'backupx-agent')
STORAGE = '/var/lib/backupx-agent/storage'
PASSWORD = 'a password for tests'


def run(*command, check=True, **options):
    """A command of this machine; the completed process, its errors in its output."""
    options.setdefault('env', clean_environment(LC_ALL='C.UTF-8'))
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    if check and result.returncode != 0:
        raise Failed(f'{command[0]}: status {result.returncode}:\n{result.stdout}')
    return result


class Files(unittest.TestCase):
    """What packaging/debian says, without building anything."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix='backupx-debian-', dir='/var/tmp'))
        self.addCleanup(shutil.rmtree, self.root)

    def script(self, name, *arguments):
        """Runs a maintainer script on a root of the test's own."""
        text = (DEBIAN / name).read_text().replace('#DEBHELPER#', '')
        path = self.root / 'script'
        path.write_text(text)
        return run(
            'sh', path, *arguments, env=clean_environment(DPKG_ROOT=self.root, LC_ALL='C.UTF-8'), check=False
        )

    def touch(self, *paths):
        """Makes files below the root."""
        for path in paths:
            file = self.root / path.lstrip('/')
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)

    def left(self):
        """What is below the root, without its folders."""
        files = [path for path in self.root.rglob('*') if path.is_file() and path.name != 'script']
        return {'/' + str(path.relative_to(self.root)) for path in files}

    def test_every_file_has_a_package(self):
        """What meson installs is in exactly one package; what a package lists is installed."""
        run('meson', 'install', '-C', build_folder(), '--no-rebuild', '--quiet', '--destdir', self.root)
        installed = {path.lstrip('/') for path in self.left()}
        self.assertGreater(len(installed), 30)
        patterns = {}
        for package in PACKAGES:
            for line in (DEBIAN / f'{package}.install').read_text().splitlines():
                if line and ' ' not in line and not line.startswith('usr/share/backupx/agent'):
                    patterns[line.replace('${env:UNIT_DIRECTORY}', 'usr/lib/systemd/system')] = package
        for path in sorted(installed):
            owners = {owner for pattern, owner in patterns.items() if fnmatch.fnmatch(path, pattern)}
            self.assertEqual(len(owners), 1, f'{path} is in {owners or "no package"}')
        for pattern, package in patterns.items():
            self.assertTrue(fnmatch.filter(installed, pattern), f'{package} lists {pattern}')

    def test_version(self):
        """The changelog begins with the version of the tree."""
        version = re.search(r"^ *version : '(.*)'", (ROOT / 'meson.build').read_text(), re.M).group(1)
        self.assertTrue((DEBIAN / 'changelog').read_text().startswith(f'backupx ({version}) '))

    def test_scripts(self):
        """shellcheck has nothing to say about the maintainer scripts."""
        scripts = [path for path in DEBIAN.iterdir() if path.suffix in ('.preinst', '.prerm', '.postrm')]
        self.assertGreaterEqual(len(scripts), 4)
        result = run('shellcheck', '-s', 'sh', *scripts, check=False)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_purge_of_the_agent(self):
        """Configuration and state go; backups stay, and the administrator is told."""
        drop_in = '/etc/systemd/system/backupx-backup@.service.d'
        own = ['/etc/backupx-agent/token', '/var/lib/backupx-agent/key', '/var/lib/backupx-agent/results/1',
               f'{drop_in}/allow-srv.conf']  # fmt: skip
        kept = [f'{STORAGE}/disk/archive', f'{drop_in}/of-the-administrator.conf']
        self.touch(*own, *kept)
        (self.root / STORAGE.lstrip('/') / 'empty').mkdir()
        result = self.script('backupx-agent.postrm', 'purge')
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual(self.left(), set(kept))
        self.assertIn(f'backups in {self.root}{STORAGE}', result.stdout)

    def test_purge_of_an_agent_without_backups(self):
        """Nothing is left, nothing is said; a second time neither."""
        self.touch('/var/lib/backupx-agent/key')
        (self.root / STORAGE.lstrip('/') / 'disk').mkdir(parents=True)
        for _ in range(2):
            result = self.script('backupx-agent.postrm', 'purge')
            self.assertEqual((result.returncode, result.stdout), (0, ''))
            self.assertEqual(self.left(), set())
            self.assertFalse((self.root / 'var/lib/backupx-agent').exists())

    def test_purge_of_the_master(self):
        """Relayed backups stay where they are; what opens sealed backups is put aside, unreadable for others."""
        relayed = '/var/lib/backupx/relay/1/archive'
        keys = ['/etc/credstore.encrypted/backupx.dispatcher-identity', '/var/lib/backupx/backupx.db',
                '/var/lib/backupx/backupx.db-wal']  # fmt: skip
        foreign = '/etc/credstore.encrypted/of-another-service'
        self.touch(relayed, foreign, '/etc/backupx/config.yaml.d/relay.yaml', '/var/lib/backupx/dispatcher.pub',
                   '/var/lib/backupx-self-backup/master.tar.zst.age', *keys)
        result = self.script('backupx-master.postrm', 'purge')
        self.assertEqual(result.returncode, 0, result.stdout)
        aside = re.search(r'sealed backups are in (\S+) now', result.stdout).group(1)
        self.assertEqual(os.stat(aside).st_mode & 0o777, 0o700)
        inside = aside.removeprefix(str(self.root))
        self.assertEqual(
            self.left(), {relayed, foreign, *(f'{inside}/{os.path.basename(key)}' for key in keys)}
        )
        self.assertIn('backups of other servers in', result.stdout)

    def test_removal_keeps_everything(self):
        """Only purge removes state."""
        files = {'/etc/backupx-agent/token', '/var/lib/backupx-agent/key', '/var/lib/backupx/backupx.db'}
        self.touch(*files)
        for name in ('backupx-agent.postrm', 'backupx-master.postrm'):
            for action in ('remove', 'upgrade', 'failed-upgrade', 'abort-install', 'disappear'):
                self.assertEqual(self.script(name, action).returncode, 0)
        self.assertEqual(self.left(), files)


class DebGuest(InstalledGuest):
    """A machine on which nothing is installed yet, and whose packages may start services."""

    def boot(self, timeout=60):
        """Nothing goes in before it boots."""
        (self.root / 'usr/sbin/policy-rc.d').unlink(missing_ok=True)
        Guest.boot(self, timeout)

    def dpkg(self, *arguments, check=True):
        """dpkg, without questions; the completed process, its errors in its output."""
        script = 'exec dpkg --force-confold "$@" 2>&1'
        return self.run('bash', '-c', script, 'dpkg', *arguments, check=check, timeout=120)

    def cli(self, *arguments, stdin=None):
        """backupx, as the administrator with an API key."""
        environment = {'BACKUPX_TOKEN': self.token} if self.token else {}
        return self.run('backupx', *arguments, stdin=stdin, environment=environment, timeout=120).stdout

    def login(self):
        """A session of the administrator, for tests."""
        self.token = None
        self.token = self.post('auth/login', {'username': 'admin', 'password': PASSWORD})['token']

    def traces(self):
        """Every path with our name in it, but where the test put the packages and dpkg its notes."""
        script = (
            'find /etc /opt /run /usr /var -xdev \\( -path /var/tmp -o -path /var/log -o -path /var/lib/dpkg \\) '
            "-prune -o -name '*backupx*' -print"
        )
        return set(self.shell(script).split())


def next_version(deb, folder):
    """The same package with a higher version, and with the dependencies that this means."""
    tree = folder / 'tree'
    run('dpkg-deb', '-R', deb, tree)
    control = tree / 'DEBIAN/control'
    text = control.read_text()
    version = re.search(r'^Version: (.*)$', text, re.M).group(1)
    control.write_text(text.replace(f'Version: {version}', f'Version: {version}+next').replace(
        f'(= {version})', f'(= {version}+next)'))  # fmt: skip
    later = folder / f'next-{deb.name}'
    run('dpkg-deb', '-b', '--root-owner-group', tree, later)
    shutil.rmtree(tree)
    return later


@unittest.skipUnless(LONG, 'long rounds: they are built and installed')
class Cycle(unittest.TestCase):
    """One machine through the whole life of the packages, in the order of the tests."""

    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            raise Failed(f'no guest: {reason}')
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-debs-', dir='/var/tmp'))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        given = os.environ.get('BACKUPX_TEST_DEBS')
        cls.output = pathlib.Path(given) if given else cls.folder / 'debs'
        if not given:
            run(ROOT / 'packaging/build-debs', '--output', cls.output)
        cls.debs = [next(cls.output.glob(f'{package}_*.deb')) for package in PACKAGES]
        cls.later = [next_version(deb, cls.folder) for deb in cls.debs]
        cls.guest = DebGuest('debs')
        cls.addClassCleanup(cls.guest.close)
        cls.guest.make_root()
        cls.guest.boot()
        cls.seen = cls.guest.traces()

    def wait_active(self):
        """Waits for all daemons and the node."""
        guest = self.guest
        for unit in UNITS:
            guest.wait(lambda unit=unit: guest.show(f'{unit}.service', 'ActiveState') == 'active', what=unit)
        guest.wait(lambda: guest.curl('/health')[0] == 200, what='an answer of the API')

    def set_up(self):
        """The first administrator, by the client; waits for the node."""
        guest = self.guest
        guest.token = None
        guest.cli('setup', '--password-file', '-', stdin=PASSWORD + '\n')
        guest.login()
        guest.wait(lambda: guest.get('nodes/1').get('status') == 'online', what='the agent being online')

    def check_restore(self, number, to):
        """Restores a run by the client and compares."""
        self.guest.cli('restores', 'create', number, '--to', to, '--wait')
        difference = self.guest.run('diff', '-r', '/srv/source', f'{to}/srv/source', check=False)
        self.assertEqual(difference.stdout + difference.stderr, '')

    def test_01_lintian(self):
        """No error, no warning."""
        result = run('lintian', '--fail-on', 'none', '--tag-display-limit', '0', '--allow-root',
                     *sorted(self.output.glob('*.changes')))  # fmt: skip
        self.assertEqual([line for line in result.stdout.splitlines() if re.match('[EW]:', line)], [])

    def test_02_conflict(self):
        """An agent that an install command put into /opt is not pushed aside silently."""
        guest = self.guest
        guest.shell(
            'mkdir -p /opt/backupx-agent; echo 1 >/opt/backupx-agent/VERSION; '
            'touch /etc/systemd/system/backupx-agent.service'
        )
        result = guest.dpkg('-i', *self.debs[:2], check=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('/opt/backupx-agent/bin/backupx agent uninstall', result.stdout)
        guest.shell('rm -r /opt/backupx-agent /etc/systemd/system/backupx-agent.service')
        guest.dpkg('--purge', 'backupx-agent', 'backupx-cli')
        self.assertEqual(guest.traces(), self.seen)

    def test_03_agent_alone(self):
        """Without a master the agent is enabled and waits for its configuration; nothing is failed or loops."""
        guest = self.guest
        guest.dpkg('-i', *self.debs[:2])
        self.assertEqual(guest.run('systemctl', 'is-enabled', 'backupx-agent').stdout.strip(), 'enabled')
        self.assertEqual(guest.show('backupx-agent.service', 'ActiveState'), 'inactive')
        self.assertEqual(guest.show('backupx-agent.service', 'NRestarts'), '0')
        self.assertEqual(guest.show('backupx-backup.socket', 'ActiveState'), 'active')
        self.assertNotIn('backupx-api', guest.run('getent', 'passwd').stdout)

    def test_04_install(self):
        """All of it runs after the installation, also at the next boot, and is there on the bus."""
        guest = self.guest
        guest.dpkg('-i', self.debs[2])
        self.wait_active()
        self.assertEqual(guest.run('systemctl', 'is-enabled', 'backupx.target').stdout.strip(), 'enabled')
        for unit in UNITS:
            self.assertEqual(guest.show(f'{unit}.service', 'NRestarts'), '0', guest.journal('-u', unit))
        # dpkg has the bus read its policy last of all; the daemons ask for their names until then.
        for name in ('Api1', 'Scheduler1', 'Dispatcher1', 'Agent1'):
            owned = re.compile(rf'^org\.backupx\.{name}\s+\d+', re.M)
            guest.wait(lambda owned=owned: owned.search(guest.run('busctl', 'list').stdout), what=name)
        guest.shell('cd /usr/share/backupx/agent && sha256sum -c --quiet *.sha256')
        guest.run('man', '-w', 'backupx-agent')
        self.set_up()
        # The package of the agent, for other servers of this architecture, signed.
        package = guest.get('agent-package')['items'][0]
        self.assertTrue(package['signed'], package)
        served = guest.shell(
            f'curl -sS http://127.0.0.1:8340/api/v1/agent-package/{package["file"]} | sha256sum'
        )
        self.assertEqual(served.split()[0], package['sha256'])

    def test_05_backup(self):
        """A backup by the client, sealed, and its restore."""
        guest = self.guest
        guest.shell('mkdir /srv/source; cp -r /etc/systemd /srv/source; head -c 200M /dev/urandom >/srv/source/large')
        guest.cli('targets', 'create', 'disk', '--path', f'{STORAGE}/disk')
        guest.cli('targets', 'create', 'relay', '--type', 'relay')
        guest.cli('tasks', 'create', 'source', '--path', '/srv/source', '--target', 'disk', '--target', 'relay',
                  '--format', 'archive')  # which takes its time again in the next test
        guest.cli('tasks', 'run', 'source', '--wait')
        self.check_restore(1, '/srv/restored')

    def test_06_upgrade(self):
        """A job that runs during an upgrade goes on and its run succeeds; no connection is refused."""
        guest = self.guest
        guest.shell("echo 'log: {level: notice}' >/etc/backupx/config.yaml")
        # As if the old version had not known this kind of key.
        guest.shell('rm /etc/credstore.encrypted/backupx.tls-key')
        number = guest.start_run(guest.get('tasks')['items'][0]['id'])
        unit = guest.wait(
            lambda: guest.run('systemctl', 'list-units', '--plain', '--no-legend', 'backupx-backup@*').stdout,
            what='a job',
        ).split()[0]
        guest.wait(
            lambda: f'Command {number} (backup), attempt 1, runs' in guest.journal('-u', 'backupx-agent'),
            what='the agent hearing of its job',
        )
        # It stands still for as long as the upgrade takes.
        guest.run('systemctl', 'kill', '-s', 'STOP', unit)
        job = guest.main_pid(unit)
        before = [guest.main_pid(f'{name}.service') for name in UNITS]
        guest.shell(
            'touch /run/asking; (while [ -e /run/asking ]; do curl -sS -m 30 -o /dev/null '
            f'http://127.0.0.1:8340/health 2>>/run/refused; echo >>/run/asked; sleep 0.01; done) >/dev/null 2>&1 &'
        )
        said = guest.dpkg('-i', *self.later).stdout
        self.assertIn('+next', guest.run('dpkg-query', '-W', *PACKAGES).stdout, said)
        self.wait_active()
        guest.shell('rm /run/asking')
        self.assertGreater(len(guest.shell('cat /run/asked')), 3)
        self.assertEqual(guest.shell('cat /run/refused'), '')
        after = [guest.main_pid(f'{name}.service') for name in UNITS]
        for old, new in zip(before, after):
            self.assertNotEqual(old, new)
        self.assertEqual(guest.main_pid(unit), job, 'the job was restarted')
        guest.shell('test -s /etc/credstore.encrypted/backupx.tls-key')
        guest.run('systemctl', 'kill', '-s', 'CONT', unit)
        self.assertEqual(guest.wait_run(number)['state'], 'succeeded', guest.journal('-n', '80'))
        self.check_restore(number, '/srv/restored-later')
        # What the administrator wrote is still there.
        self.assertIn('notice', guest.shell('cat /etc/backupx/config.yaml'))

    def test_07_remove(self):
        """Removing stops everything and keeps all that a new installation needs."""
        guest = self.guest
        guest.dpkg('--remove', *reversed(PACKAGES))
        self.assertEqual(guest.run('pgrep', '-l', '-f', '/usr/lib/backupx', check=False).stdout, '')
        self.assertEqual(
            guest.run('systemctl', 'list-units', '--all', '--plain', '--no-legend', '--failed', 'backupx*').stdout, ''
        )
        self.assertFalse(guest.traces() & {'/usr/lib/backupx', '/usr/bin/backupx'})
        guest.dpkg('-i', *self.debs)
        self.wait_active()
        guest.login()
        guest.wait(lambda: guest.get('nodes/1').get('status') == 'online', what='the agent being online')
        self.check_restore(1, '/srv/restored-again')

    def test_08_purge(self):
        """Purging leaves the backups and what opens them, and says so; nothing else of ours stays."""
        guest = self.guest
        archives = guest.shell(f'find {STORAGE} /var/lib/backupx/relay -type f | sort')
        said = guest.dpkg('--purge', *reversed(PACKAGES)).stdout
        self.assertIn(f'There are backups in {STORAGE}', said)
        self.assertIn('There are backups of other servers in /var/lib/backupx/relay', said)
        aside = re.search(r'sealed backups are in (\S+) now', said).group(1)
        left = {path for path in guest.traces() - self.seen if not path.startswith((aside, STORAGE))}
        self.assertEqual(left - {'/var/lib/backupx', '/var/lib/backupx-agent'}, set())
        self.assertEqual(
            guest.shell(f'find {STORAGE} /var/lib/backupx/relay -type f | sort'), archives
        )
        self.assertIn('backupx.db', guest.shell(f'ls {aside}'))

    def test_09_anew(self):
        """After a purge the packages install as on a new machine, with new keys."""
        guest = self.guest
        guest.dpkg('-i', *self.debs)
        self.wait_active()
        self.set_up()
        self.assertEqual(guest.get('runs')['items'], [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
