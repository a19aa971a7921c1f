# SPDX-License-Identifier: Apache-2.0
"""The package of the agent of the build that is tested."""

import fcntl
import pathlib
import subprocess

from processes import Failed, clean_environment
from suite import build_folder


def agent_packages():
    """Makes the package when it is missing or old; the folder that a master can serve it from."""
    folder = pathlib.Path(build_folder())
    with open(folder / 'packaging/agent-package.lock', 'w', encoding='ascii') as lock:
        # Tests run side by side, and ninja does not expect itself.
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = subprocess.run(
            ['ninja', '-C', str(folder), 'agent-package'],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean_environment(),
        )
    if result.returncode != 0:
        raise Failed(f'the package of the agent cannot be made:\n{result.stdout}')
    return folder / 'packaging/agent'


def agent_archive():
    """The archive in that folder."""
    return max(agent_packages().glob('backupx-agent-*.tar.gz'), key=lambda path: path.stat().st_mtime)
