#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What ./quickstart does once the tree is built."""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import trees
from client import ApiError
from processes import Failed
from suite import Suite, build_folder


def say(text):
    """Prints a line at once."""
    print(text, flush=True)


def human(size):
    """A number of bytes for people."""
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if size < 1024 or unit == 'GiB':
            return f'{size:.0f} {unit}' if unit == 'B' else f'{size:.1f} {unit}'
        size /= 1024
    return ''


def booted_with_systemd():
    """Whether PID 1 of this machine is systemd."""
    return os.path.isdir('/run/systemd/system')


def unique(name):
    """A name that an earlier start did not use."""
    return f'{name}-{time.strftime("%Y%m%d-%H%M%S")}'


def main_job(suite, folder):
    """Backs a directory up through the agent, restores it and compares; whether both are identical."""
    source, restored = folder / 'source', folder / 'restored'
    source.mkdir()
    restored.mkdir()
    trees.make_small(source)
    if os.geteuid() == 0:
        trees.make_privileged(source)
    say(f'Made a directory to protect: {source}, {len(trees.scan(source))} files and folders')

    target = suite.make_target(unique('disk'))
    task = suite.make_task([source], [target], unique('quickstart'), encryption='sealed')
    say(
        f'Task {task} on node local: {source} -> {suite.client.get(f"targets/{target}")["config"]["path"]}, '
        f'sealed to the node'
    )
    run = suite.backup(task)
    say(
        f'Run {run["id"]} {run["state"]}: {run["files"]} files, {human(run["bytes_read"])} read, '
        f'{human(run["bytes_written"])} written'
    )
    if run['state'] != 'succeeded':
        say(suite.logs(run['id']))
        return False
    again = suite.restore(run['id'], restored)
    say(f'Restore {again["id"]} {again["state"]}: into {restored}')
    if again['state'] != 'succeeded':
        say(suite.logs(again['id']))
        return False
    found = trees.differences(source, pathlib.Path(f'{restored}{source}'))
    for line in found[:20]:
        say(f'  {line}')
    say(
        'Identical: content, owners, modes, times, links, holes, attributes and ACLs'
        if not found
        else f'{len(found)} differences'
    )
    return not found


def write_env(suite, path):
    """How other programs reach the suite. Whoever waits for the file finds all of it."""
    new = path.with_suffix('.new')
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(
        f'BACKUPX_SERVER={suite.server}\nBACKUPX_TOKEN={suite.client.token}\n'
        f'BACKUPX_STATE={suite.folder}\n'
    )
    new.rename(path)


def say_how(suite, env):
    """What a newcomer does next."""
    say(
        f'\nThe suite serves at {suite.server}. Try:\n  set -a; . {env}; set +a\n'
        f'  {build_folder()}/cli/backupx status\n  {build_folder()}/cli/backupx runs list'
    )


def serve(suite, last_words=''):
    """Keeps the suite running until a signal or the end of one of its programs."""
    stopped = []
    # Before the file is there: whoever has read it may send one at once.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stopped.append(number))
    write_env(suite, suite.folder / 'env')
    say_how(suite, suite.folder / 'env')
    if last_words:
        say(last_words)
    while not stopped:
        for name, process in suite.processes.items():
            if not process.running():
                raise Failed(
                    f'{name} ended with status {process.process.returncode}; '
                    f'its log:\n{process.tail()}'
                )
        time.sleep(0.2)
    say('Stopping')


def run_from_build_tree(options):
    """--once, --serve, and no option where systemd is not PID 1."""
    state = options.state
    if not state and not options.once:
        state = os.path.expanduser('~/.backupx-quickstart')
        if os.geteuid() == 0:
            state = '/var/tmp/backupx-quickstart'
    with Suite(state=state, port=options.port) as suite:
        say(f'Started the bus, the scheduler, the dispatcher, the API and an agent in {suite.folder}')
        if options.serve:
            serve(suite)
            return True
        work = pathlib.Path(tempfile.mkdtemp(prefix='backupx-work-', dir='/var/tmp'))
        try:
            identical = main_job(suite, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        if identical and not options.once:
            serve(suite, 'It runs until you press Control-C.')
        return identical


def run_with_units(options):
    """Installs the units of this build and uses them."""
    if os.geteuid() != 0:
        raise Failed('installing the units needs root: sudo ./quickstart; without: ./quickstart --serve')
    from installed import InstalledSuite

    suite = InstalledSuite()
    suite.install()
    say('Installed the programs and units; started backupx.target')
    suite.start()
    work = pathlib.Path(tempfile.mkdtemp(prefix='backupx-work-', dir='/var/tmp'))
    try:
        identical = main_job(suite, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if options.once:
        subprocess.run(['systemctl', 'stop', 'backupx.target', 'backupx-agent.service'], check=False)
    else:
        write_env(suite, suite.folder / 'env')
        say(
            f'\nThe suite serves at {suite.server}. Try:\n  set -a; . {suite.folder}/env; set +a\n'
            '  backupx status\n  backupx runs list\n  systemctl status backupx.target "backupx-*"'
        )
    return identical


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='./quickstart', description='Builds and starts BackupX; backs up, restores and compares.'
    )
    parser.add_argument('--once', action='store_true', help='end after the comparison')
    parser.add_argument('--serve', action='store_true', help='run from the build tree until stopped')
    parser.add_argument('--state', metavar='DIR', help='where the state is kept')
    parser.add_argument('--port', type=int, metavar='N', help='of the HTTP API on 127.0.0.1')
    options = parser.parse_args()
    if options.once and options.serve:
        parser.error('--once and --serve exclude each other')
    return options


def main():
    """Runs and says what went wrong in one sentence."""
    options = parse_arguments()
    private = options.serve or options.state or options.port or not booted_with_systemd()
    try:
        return 0 if (run_from_build_tree(options) if private else run_with_units(options)) else 1
    except (Failed, ApiError, subprocess.CalledProcessError) as error:
        print(f'quickstart: {error}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
