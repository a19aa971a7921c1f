# SPDX-License-Identifier: Apache-2.0
"""Servers for tests that Debian does not have: taken from the npm registry, once for a build, in the versions and with
the digests of a package-lock.json beside this file."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

from processes import die_with_parent
from suite import build_folder

HERE = pathlib.Path(__file__).resolve().parent
#: Neither what others had installed nor what a package would like to run matters.
NPM = ['npm', 'ci', '--ignore-scripts', '--omit=dev', '--omit=optional', '--no-audit', '--no-fund',
       '--no-update-notifier', '--loglevel=error', '--fetch-retries=2', '--fetch-retry-mintimeout=1000',
       '--fetch-retry-maxtimeout=5000', '--fetch-timeout=60000']
NPM_SECONDS = 300
#: node has authorities of its own; those of this machine count, too.
AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'


class Missing(Exception):
    """Why there is none, for whoever runs the tests."""


def install(package, to, name, instead=None):
    """What the lock file says, from the registry that npm is set to; whole or not at all."""
    if not shutil.which('npm') or not shutil.which('node'):
        raise Missing(f'{name} needs node and npm (packages nodejs, npm)' + (f', or {instead}' if instead else ''))
    with open(f'{to}.lock', 'w', encoding='utf-8') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if to.exists():
            return
        made = pathlib.Path(f'{to}.new')
        shutil.rmtree(made, ignore_errors=True)
        shutil.copytree(package, made)
        try:
            done = subprocess.run(NPM, cwd=made, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=NPM_SECONDS, check=False,
                                  env={'NODE_EXTRA_CA_CERTS': AUTHORITIES, **os.environ},
                                  preexec_fn=die_with_parent)
        except subprocess.TimeoutExpired:
            raise Missing(f'npm could not install {name} within {NPM_SECONDS} s: is its registry reached?') from None
        if done.returncode != 0:
            said = [line for line in done.stdout.splitlines() if line.lower().startswith(('npm err', 'npm error'))]
            raise Missing(f'npm could not install {name} (is its registry reached?): ' + ' / '.join(said[:6]))
        made.rename(to)


def folder(package, name, instead=None):
    """Where the modules of tests/lib/PACKAGE are; they are installed where they are not. Missing: they cannot be."""
    digest = hashlib.sha256((HERE / package / 'package-lock.json').read_bytes()).hexdigest()
    to = build_folder() / f'{package}-{digest[:12]}'
    if not to.exists():
        install(HERE / package, to, name, instead)
    return to / 'node_modules'


def require(find):
    """Skips the test where there is none; with CI=true that is a failure. What find() found."""
    try:
        return find()
    except Missing as why:
        if os.environ.get('CI') == 'true':
            raise
        raise unittest.SkipTest(str(why)) from None
