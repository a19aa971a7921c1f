#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""quickstart on a machine whose PID 1 is systemd: it installs the units and uses them."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))

from guest import Guest  # noqa: E402
from installed_guest import skip_where_impossible  # noqa: E402
from suite import ROOT, build_folder  # noqa: E402

skip_where_impossible()


class Quickstart(unittest.TestCase):
    """One machine, as a newcomer has it: the clone and the build are there, nothing is installed."""

    def test_quickstart(self):
        """--once does the main job with installed units; without options the suite stays."""
        with Guest('quickstart') as guest:
            environment = {'BACKUPX_BUILD': build_folder(), 'HOME': '/root'}
            # Another user's clone, as far as git in a container of this machine is concerned.
            once = guest.run(ROOT / 'quickstart', '--once', environment=environment, timeout=400, check=False)
            self.assertEqual(once.returncode, 0, once.stdout + once.stderr)
            self.assertIn('Identical', once.stdout)
            # The daemons go down behind their target.
            guest.wait(lambda: guest.show('backupx-api.service', 'ActiveState') == 'inactive',
                       what='the end of the API')  # fmt: skip
            stays = guest.run(ROOT / 'quickstart', environment=environment, timeout=400, check=False)
            self.assertEqual(stays.returncode, 0, stays.stdout + stays.stderr)
            for unit in ('backupx-api', 'backupx-scheduler', 'backupx-dispatcher', 'backupx-agent'):
                self.assertEqual(guest.show(f'{unit}.service', 'ActiveState'), 'active')
            status = guest.shell('set -a; . /var/lib/backupx-quickstart/env; backupx status')
            self.assertIn('succeeded', status)
            self.assertIn('online', status)


if __name__ == '__main__':
    unittest.main(verbosity=2)
