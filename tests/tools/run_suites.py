#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the tree and runs the suites of tests for ./check; says how many passed, failed, were skipped."""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# The suites in the order in which they run: cheap ones first, so that a broken tree says so soon.
SUITES = {
    'static': 'static code checks',
    'unit': 'unit tests',
    'fuzz': 'fuzzers over their corpora',
    'store': 'the queue under SIGKILL',
    'bus': 'D-Bus interfaces of the daemons',
    'http': 'HTTP API',
    'agent': 'end to end from the build tree',
    'storage': 'storage backends',
    'repository': 'repositories beside stock restic',
    'databases': 'database sources',
    'system': 'booted systemd',
    'packages': 'packages for other machines',
    'browser': 'console in a browser',
}

# What runs with sanitizers too, and what does so in the long rounds only.
SANITIZED = ['unit', 'fuzz']
SANITIZED_LONG = ['bus', 'http', 'agent', 'storage', 'repository', 'databases']

# Their programs wait for servers most of the time: so many of them run for each processor. Not in the long rounds,
# where each of them needs 15 GiB of the disk at times.
SIDE_BY_SIDE = {'storage': 2}

# The sanitizers end the program at the first finding and never pass it by.
SANITIZER_ENVIRONMENT = {
    'ASAN_OPTIONS': 'abort_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:abort_on_error=1:print_stacktrace=1',
}


@dataclasses.dataclass
class Build:
    """A build directory and how it is made."""

    folder: str
    compiler: str
    options: list
    sanitized: bool = False

    def environment(self):
        """The environment in which this build's tests run."""
        added = SANITIZER_ENVIRONMENT if self.sanitized else {}
        return {**os.environ, **added}


BUILDS = [
    Build('build', 'gcc', []),
    Build(
        'build-sanitize', 'clang', ['-Db_sanitize=address,undefined', '-Db_lundef=false'], sanitized=True
    ),
]


@dataclasses.dataclass
class Count:
    """The outcome of one suite in one build."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    cases: int = 0
    seconds: float = 0

    def add(self, other):
        """Adds another outcome to this one."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.cases += other.cases


def say(text):
    """Prints a line at once, also into a pipe."""
    print(text, flush=True)


def run_quietly(command, log, **kwargs):
    """Runs a command with its output in a file; shows the end of it when the command fails."""
    with open(log, 'wb') as out:
        status = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
            **kwargs,
        ).returncode
    if status != 0:
        text = pathlib.Path(log).read_text(errors='replace').splitlines()
        say('\n'.join(text[-60:]))
        say(f'failed with status {status}: {" ".join(command)}; all of it is in {log}')
    return status == 0


def make_build(build):
    """Configures when needed and compiles; False when that fails."""
    folder = ROOT / build.folder
    started = time.monotonic()
    if not (folder / 'build.ninja').exists():
        command = ['meson', 'setup', str(folder), str(ROOT), '-Dwerror=true', *build.options]
        if not run_quietly(command, f'{folder}.setup.log', env={**os.environ, 'CC': build.compiler}):
            return False
    if not run_quietly(['ninja', '-C', str(folder)], f'{folder}/compile.log'):
        return False
    say(f'built {build.folder} with {build.compiler} in {time.monotonic() - started:.0f} s')
    return True


def list_tests(build):
    """suite -> names of its tests."""
    text = subprocess.run(
        ['meson', 'introspect', '--tests', str(ROOT / build.folder)], check=True, stdout=subprocess.PIPE
    ).stdout
    suites = {}
    for test in json.loads(text):
        for suite in test['suite']:
            suites.setdefault(suite.split(':')[-1], []).append(test['name'])
    return suites


def count_cases(output):
    """How many cases a test program says that it ran: C programs, unittest, TAP."""
    unittest = re.findall(r'^Ran (\d+) tests? in ', output, re.M)
    if unittest:
        return sum(int(n) for n in unittest)
    tap = re.findall(r'^ok \d+', output, re.M)
    if tap:
        return len(tap)
    return max(1, len(re.findall(r'^# \w', output, re.M)))


def skip_reason(output):
    """The last line that a skipped test said."""
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else 'no reason given'


def skipped_cases(output):
    """The cases that a test program left out, with reasons; but for those that only long rounds have. Where
    CI cannot run a case (no FUSE, say) it is told and counted; a whole program that cannot run has failed."""
    told = re.findall(r'^skipped case: (.*)$', output, re.M)
    return [case for case in told if ': long rounds: ' not in case]


def read_results(log, strict, figures=False):
    """Counts what meson wrote about each test, and says what did not pass, and which figures they printed."""
    count = Count()
    for line in log.read_text().splitlines():
        test = json.loads(line)
        output = test.get('stdout', '') + '\n' + (test.get('stderr') or '')
        for figure in re.findall(r'^measured: .*$', output, re.M) if figures else ():
            say(f'  {figure}')
        if test['result'] in ('OK', 'EXPECTEDFAIL'):
            skipped = skipped_cases(output)
            for case in skipped:
                say(f'  skipped: {test["name"]}: {case}')
            count.skipped += len(skipped)
            count.passed += 1
            count.cases += count_cases(output)
        elif test['result'] == 'SKIP':
            say(f'  skipped: {test["name"]}: {skip_reason(output)}')
            count.skipped += not strict
            count.failed += strict
        else:
            count.failed += 1
            say(f'  {test["result"]}: {test["name"]} ({test["duration"]:.1f} s); its last lines:')
            for text in output.rstrip().splitlines()[-60:]:
                say(f'    {text}')
    return count


def run_suite(build, suite, options):
    """Runs one suite of one build."""
    folder = ROOT / build.folder
    name = f'{suite}-{build.folder}'
    log = folder / 'meson-logs' / f'{name}.json'
    started = time.monotonic()
    log.unlink(missing_ok=True)
    command = [
        'meson',
        'test',
        '-C',
        str(folder),
        '--no-rebuild',
        '--suite',
        suite,
        '--logbase',
        name,
        '-q',
        '--num-processes',
        str(max(1, os.cpu_count() or 1) * (1 if options.long else SIDE_BY_SIDE.get(suite, 1))),
    ]
    # The limits of the tests are those of a machine that does nothing else: here they only end what hangs.
    command += ['--timeout-multiplier', '10' if options.long else '3']
    environment = {
        **build.environment(),
        'BACKUPX_TEST_LONG': '1' if options.long else '',
        'PYTHONPATH': str(ROOT / 'tests/tools/told'),
    }
    status = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode
    count = read_results(log, options.strict, figures=options.long) if log.exists() else Count()
    if status != 0 and count.failed == 0:
        say(f'  meson test ended with status {status} without a failed test: counted as a failure')
        count.failed += 1
    count.seconds = time.monotonic() - started
    return count


def parse_arguments():
    """The command line, and what the environment adds to it."""
    parser = argparse.ArgumentParser(prog='./check', description='Builds everything and runs the tests.')
    parser.add_argument('suites', nargs='*', metavar='SUITE', help='only these suites')
    parser.add_argument('--long', action='store_true', help='also the long rounds')
    parser.add_argument('--list', action='store_true', help='say which suites there are')
    options = parser.parse_args()
    unknown = [suite for suite in options.suites if suite not in SUITES]
    if unknown:
        parser.error(f'no such suite: {", ".join(unknown)}; there are {", ".join(SUITES)}')
    options.strict = os.environ.get('CI') == 'true'
    return options


def plan(options):
    """[(build, suite)] in the order in which they run."""
    wanted = options.suites or list(SUITES)
    sanitized = SANITIZED + (SANITIZED_LONG if options.long else [])
    for suite in wanted:
        for build in BUILDS:
            if not build.sanitized or suite in sanitized:
                yield build, suite


def run_all(options):
    """Builds what the plan needs and runs it; the outcome by (suite, build)."""
    steps = list(plan(options))
    tests = {}
    outcome = {}
    for build in BUILDS:
        if not any(step[0] is build for step in steps):
            continue
        if not make_build(build):
            return {(f'build of {build.folder}', build.folder): Count(failed=1)}
        tests[build.folder] = list_tests(build)
    for build, suite in steps:
        names = tests[build.folder].get(suite)
        if not names:
            outcome[suite, build.folder] = None
            continue
        say(
            f'{suite} ({SUITES[suite]}{", with sanitizers" if build.sanitized else ""}): {len(names)} tests'
        )
        outcome[suite, build.folder] = run_suite(build, suite, options)
    return outcome


def report(outcome, seconds):
    """Prints the counts; the exit status."""
    total = Count()
    say('')
    for (suite, folder), count in outcome.items():
        label = suite + (' (sanitizers)' if folder.endswith('sanitize') else '')
        if count is None:
            say(f'{label:24} no tests yet')
            continue
        total.add(count)
        say(
            f'{label:24} {count.passed:4} passed {count.failed:3} failed {count.skipped:3} skipped '
            f'{count.cases:6} cases {count.seconds:7.1f} s'
        )
    say(f'took {seconds:.0f} s')
    if total.passed + total.failed == 0:
        say('no test ran')
        total.failed = 1
    say(f'{total.passed} passed, {total.failed} failed, {total.skipped} skipped')
    return 1 if total.failed else 0


def main():
    """What ./check does."""
    # Nothing may depend on how whoever calls has set these.
    os.umask(0o022)
    # In the background of a script both are ignored, and tests that interrupt something would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.environ.update(LC_ALL='C.UTF-8', LANGUAGE='')
    options = parse_arguments()
    if options.list:
        for suite, title in SUITES.items():
            say(f'{suite:12} {title}')
        return 0
    started = time.monotonic()
    outcome = run_all(options)
    return report(outcome, time.monotonic() - started)


if __name__ == '__main__':
    sys.exit(main())
