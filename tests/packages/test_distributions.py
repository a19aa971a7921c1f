#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The package of the agent on other distributions: its programs run, its units work, and a backup comes back. Each is
a minimal system, fetched by debootstrap, and so for the long rounds (BACKUPX_TEST_LONG=1). BACKUPX_TEST_ROOTS names
a folder with systems that were fetched before."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

import trees  # noqa: E402
from agent_package import agent_packages  # noqa: E402
from guest import Guest, why_not  # noqa: E402
from installed_guest import InstalledGuest  # noqa: E402
from network import Network  # noqa: E402
from processes import Failed  # noqa: E402

LONG = bool(os.environ.get('BACKUPX_TEST_LONG'))
DEBIAN = 'http://deb.debian.org/debian'
UBUNTU = 'http://archive.ubuntu.com/ubuntu'
# name, mirror, what debootstrap needs to know. Debian has no key of Ubuntu; the system is thrown away afterwards.
DISTRIBUTIONS = (
    ('bookworm', DEBIAN, [], []),
    ('trixie', DEBIAN, [], []),
    ('noble', UBUNTU, ['--no-check-gpg'], ['gutsy']),
)
MASTER = '10.97.0.1'
SOURCE = '/srv/source'


def debootstrap(name, mirror, options, script, root):
    """Fetches a minimal system that can boot; why it cannot, or an empty text."""
    include = 'systemd,systemd-sysv,dbus,curl,ca-certificates'
    command = ['debootstrap', '--variant=minbase', f'--include={include}', *options, name, root, mirror, *script]
    result = subprocess.run(
        [str(word) for word in command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return '' if result.returncode == 0 else result.stdout[-500:]


@unittest.skipUnless(LONG, 'long rounds: other distributions are fetched')
class Distributions(unittest.TestCase):
    """One master of this machine's own system, and a server of each distribution after the other."""

    @classmethod
    def setUpClass(cls):
        reason = why_not()
        if reason:
            raise Failed(f'no guest: {reason}')
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='backupx-roots-', dir='/var/tmp'))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.network = Network()
        cls.addClassCleanup(cls.network.close)
        cls.network.__enter__()
        cls.master = InstalledGuest('master', cls.network.add_host('master', MASTER))
        cls.addClassCleanup(cls.master.close)
        cls.master.make_root()
        listen = pathlib.Path(cls.master.path('/etc/systemd/system/backupx-api.socket.d'))
        listen.mkdir(parents=True)
        (listen / 'listen.conf').write_text('[Socket]\nListenStream=\nListenStream=0.0.0.0:8340\n')
        config = pathlib.Path(cls.master.path('/etc/backupx'))
        config.mkdir()
        (config / 'config.yaml').write_text(f'server:\n  external_url: "http://{MASTER}:8340"\n  tls: "off"\n')
        shutil.copytree(
            agent_packages(), cls.master.path('/usr/share/backupx/agent'), dirs_exist_ok=True
        )
        cls.master.boot()
        cls.master.start_suite()
        cls.relay = cls.master.make_target('relay', kind='relay')
        cls.disk = cls.master.make_target('disk')

    def root_of(self, name, mirror, options, script):
        """A fetched system."""
        given = os.environ.get('BACKUPX_TEST_ROOTS')
        root = pathlib.Path(given or self.folder, name)
        if not root.is_dir():
            reason = debootstrap(name, mirror, options, script, root)
            if reason:
                shutil.rmtree(root, ignore_errors=True)
                self.skipTest(f'{name} cannot be fetched: {reason}')
        return root

    def foreground(self, guest):
        """The programs run where the package was unpacked."""
        guest.shell('mkdir /srv/unpacked && tar -xzf /srv/package.tar.gz -C /srv/unpacked')
        said = guest.run('/srv/unpacked/backupx-agent/bin/backupx', 'agent', '--help').stdout
        self.assertIn('--master', said)

    def check(self, number, name, root):
        """From the command of the master to a restored tree."""
        master = self.master
        with Guest(name, self.network.add_host(name, f'10.97.0.{number + 2}'), base=root) as guest:
            archive = max(agent_packages().glob('*.tar.gz'))
            shutil.copy(archive, guest.root / 'srv/package.tar.gz')
            self.foreground(guest)
            link = master.post('install-links', {'names': [name]})['items'][0]
            said = guest.shell(link['command'] + ' 2>&1', timeout=120)
            self.assertIn(f'{name} is online', said)
            guest.run('mkdir', SOURCE)
            trees.make_small(guest.root / SOURCE.lstrip('/'))
            task = master.make_task(
                name, [SOURCE], [self.disk, self.relay], node_id=link['node']['id'], encryption='sealed'
            )
            run = master.wait_run(master.start_run(task))
            self.assertEqual(run['state'], 'succeeded', f'{run}\n{guest.journal("-n", "60")}')
            again = master.restore(
                run['id'], '/srv/back', destination={'node_id': link['node']['id'], 'path': '/srv/back'}
            )
            self.assertEqual(again['state'], 'succeeded', f'{again}\n{guest.journal("-n", "60")}')
            self.assertEqual(
                trees.differences(
                    guest.root / SOURCE.lstrip('/'), guest.root / f'srv/back{SOURCE}'
                ),
                [],
            )
            # Nothing of the system but glibc was loaded, also for what the first connection loads.
            maps = guest.shell('cat /proc/$(systemctl show -P MainPID backupx-agent)/maps')
            loaded = {line.split()[-1] for line in maps.splitlines() if '.so' in line}
            self.assertTrue(any(path.startswith('/opt/backupx-agent/lib/libcurl') for path in loaded), loaded)
            foreign = {
                os.path.basename(path).split('.so')[0] for path in loaded if not path.startswith('/opt/')
            }
            glibc = {'libc', 'libm', 'libresolv', 'libpthread', 'libdl', 'librt'}
            self.assertLessEqual({lib for lib in foreign if not lib.startswith(('ld-linux', 'libnss'))}, glibc)

    def test_distributions(self):
        """Each of them."""
        for number, (name, mirror, options, script) in enumerate(DISTRIBUTIONS):
            with self.subTest(name):
                self.check(number, name, self.root_of(name, mirror, options, script))


if __name__ == '__main__':
    unittest.main(verbosity=2)
