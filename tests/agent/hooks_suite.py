#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hooks around the backups of the real agent, its real jobs and real keepers, without units.

What a hook did is in the file "trace", a line a hook: phase, name, and the state that a post hook was told.
"""

import os
import pathlib
import signal
import unittest

from agent_case import AgentCase, BUILD

HOOK = BUILD / 'agent' / 'backupx-hook'
# Stops the job: it stands between its pre and its post hooks, for as long as a test wants.
STOP_JOB = 'kill -STOP $(cat {results}/*.lock)'


def alive(pid):
    """Whether it runs, and is no zombie."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False


class HooksCase(AgentCase):
    """A folder of hooks beside the policy."""

    def setUp(self):
        super().setUp()
        self.hooks = self.folder / 'hooks.d'
        self.hooks.mkdir(mode=0o755)
        self.trace = self.folder / 'trace'
        self.source = self.folder / 'source'
        self.source.mkdir()
        (self.source / 'file').write_text('content')

    def hook(self, name, script=''):
        """One that leaves its line first."""
        path = self.hooks / name
        script = script.format(folder=self.folder, results=self.results)
        path.write_text(
            f'#!/bin/sh\necho "$BACKUPX_PHASE $BACKUPX_HOOK $BACKUPX_STATE" >>{self.trace}\n{script}\n'
        )
        path.chmod(0o755)

    def traced(self):
        """The lines."""
        return self.trace.read_text().split('\n')[:-1] if self.trace.exists() else []

    def number(self, name):
        """The number that a hook wrote into this file, once it did."""
        file = self.folder / name

        def read():
            return file.exists() and file.read_text().endswith('\n') and int(file.read_text())

        return self.master.wait(read, what=f'the file {name}')

    def add(self, pre=(), post=(), **more):
        """Queues a backup with hooks."""
        spec = self.backup(paths=[self.source])
        spec['hooks'] = {'pre': list(pre), 'post': list(post), **more}
        return self.master.add('backup', spec)

    def run_hooks(self, *args, **more):
        """The result of one."""
        self.command = self.add(*args, **more)
        return self.master.finished(self.command)

    def said(self):
        """The log of the run that ended last."""
        return '\n'.join(text for _, text in sorted(self.command.lines.items()))

    def objects(self):
        """What lies under a final name."""
        return [p for p in (self.storage / 'disk').rglob('*') if p.is_file() and 'manifest' in p.name]

    def check(self, result, status, code=None):
        """How it ended."""
        self.assertEqual(result['status'], status, (result, self.said()))
        self.assertEqual((result['error'] or {}).get('code'), code, result)

    def notes(self):
        """What keepers note while post hooks are left to be run."""
        folder = self.state / 'hooks'
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


class Hooks(HooksCase):
    """In the ordinary course, and where they fail."""

    def test_order(self):
        """What pre hooks make is in the backup; both know what they are run for, and nothing else."""
        self.hook(
            'freeze',
            'echo frozen >{folder}/source/made; echo said it; echo and this >&2; env >{folder}/env',
        )
        self.hook('second')
        self.hook('thaw', 'rm {folder}/source/made; env >{folder}/env-post')
        self.start()
        result = self.run_hooks(['freeze', 'second'], ['thaw'])
        self.check(result, 'succeeded')
        self.assertEqual(self.traced(), ['pre freeze ', 'pre second ', 'post thaw succeeded'])
        self.assertEqual(result['result']['files'], 2)
        self.assertFalse((self.source / 'made').exists())
        for text in 'pre hook freeze: said it', 'pre hook freeze: and this', 'post hook thaw ended':
            self.assertIn(text, self.said())
        told = dict(line.split('=', 1) for line in (self.folder / 'env').read_text().splitlines())
        for own in ('PWD', 'OLDPWD', 'SHLVL', '_'):
            told.pop(own, None)
        self.assertEqual(
            told,
            {
                'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
                'LANG': 'C.UTF-8',
                'BACKUPX_HOOK': 'freeze',
                'BACKUPX_PHASE': 'pre',
                'BACKUPX_KIND': 'backup',
                'BACKUPX_TYPE': 'file',
                'BACKUPX_TASK': 'etc',
                'BACKUPX_TASK_ID': '3',
                'BACKUPX_NODE': 'test-node',
                'BACKUPX_RUN': '12',
                'BACKUPX_ATTEMPT': '1',
            },
        )
        self.assertIn('BACKUPX_STATE=succeeded\n', (self.folder / 'env-post').read_text())
        self.assertEqual(self.notes(), [])

    def test_refused(self):
        """What others could have put there; nothing at all is run then."""
        self.hook('good')
        for name in ('theirs', 'shared', 'plain'):
            self.hook(name)
        os.chown(self.hooks / 'theirs', 12345, 12345)
        (self.hooks / 'shared').chmod(0o775)
        (self.hooks / 'plain').chmod(0o644)
        (self.hooks / 'linked').symlink_to('good')
        (self.hooks / 'folder').mkdir()
        self.start()
        for name, code in (
            ('absent', 'HOOK_NOT_FOUND'),
            ('theirs', 'HOOK_REFUSED'),
            ('shared', 'HOOK_REFUSED'),
            ('plain', 'HOOK_REFUSED'),
            ('linked', 'HOOK_REFUSED'),
            ('folder', 'HOOK_REFUSED'),
            ('../evil', 'FIELD_INVALID'),
        ):
            for hooks in ((['good', name], []), (['good'], [name])):
                with self.subTest(name=name, hooks=hooks):
                    result = self.run_hooks(*hooks, on_failure='warn')
                    self.check(result, 'failed', code)
                    self.assertIn(name if code != 'FIELD_INVALID' else 'hooks', result['error']['message'])
        self.hooks.chmod(0o777)
        self.check(self.run_hooks(['good']), 'failed', 'HOOK_REFUSED')
        self.hooks.chmod(0o755)
        (self.folder / 'policy.yaml').write_text('hooks: [other]\n')
        self.check(self.run_hooks(['good']), 'failed', 'POLICY_DENIED')
        self.check(self.run_hooks([], ['good']), 'failed', 'POLICY_DENIED')
        self.assertEqual((self.traced(), self.objects()), ([], []))
        (self.folder / 'policy.yaml').write_text('hooks: [good]\n')
        self.check(self.run_hooks(['good']), 'succeeded')

    def test_pre_fails(self):
        """Nothing is backed up, or it is by choice; what was begun is ended in both."""
        self.hook('bad', 'echo no volume; exit 3')
        self.hook('next')
        self.hook('thaw')
        self.start()
        result = self.run_hooks(['bad', 'next'], ['thaw'])
        self.check(result, 'failed', 'HOOK_FAILED')
        self.assertIn('The hook bad ended with status 3; nothing was backed up', result['error']['message'])
        self.assertEqual((self.traced(), self.objects()), (['pre bad ', 'post thaw failed'], []))
        self.assertIn('no volume', self.said())
        self.trace.unlink()
        self.check(self.run_hooks(['bad', 'next'], ['thaw'], on_failure='warn'), 'succeeded')
        self.assertEqual(self.traced(), ['pre bad ', 'pre next ', 'post thaw succeeded'])
        self.assertIn('The hook bad ended with status 3', self.said())

    def test_post_fails(self):
        """The backup is there, and the run is not green, or it is by choice."""
        self.hook('bad', 'kill -SEGV $$')
        self.hook('good')
        self.start()
        result = self.run_hooks([], ['bad', 'good'])
        self.check(result, 'partial', 'HOOK_FAILED')
        self.assertIn('The hook bad was ended by signal 11', result['error']['message'])
        self.assertEqual(self.traced(), ['post bad succeeded', 'post good succeeded'])
        self.assertEqual(len(self.objects()), 1)
        self.check(self.run_hooks([], ['bad', 'good'], on_failure='warn'), 'succeeded')

    def test_run_fails(self):
        """Post hooks are told of it."""
        self.hook('vanish', 'rm -r {folder}/source')
        self.hook('thaw')
        self.start()
        result = self.run_hooks(['vanish'], ['thaw'])
        self.assertIn(result['status'], ('failed', 'partial'))
        self.assertEqual(self.traced(), ['pre vanish ', f'post thaw {result["status"]}'])

    def test_limit(self):
        """SIGTERM to all of its group, SIGKILL to what does not listen."""
        self.hook('deaf', "trap '' TERM; sleep 1000 & echo $! >{folder}/child; wait; wait; sleep 1000")
        self.hook('thaw')
        self.start()
        result = self.run_hooks(['deaf'], ['thaw'], timeout_s=1)
        self.check(result, 'failed', 'HOOK_FAILED')
        self.assertIn('The hook deaf did not end within 1 s and was killed', result['error']['message'])
        self.master.wait(lambda: not alive(self.number('child')), what='the end of its child')
        self.assertEqual(self.traced(), ['pre deaf ', 'post thaw failed'])

    def test_output(self):
        """Kept in part, whatever it is; what it leaves running holds nothing up."""
        self.hook('talk', "yes 'a long line' | head -c 3000000; head -c 300000 /dev/urandom; exec sleep 0")
        self.hook('daemon', 'sleep 1000 & echo $! >{folder}/daemon; printf "\\377\\033[31mred"')
        self.hook('end', 'kill $(cat {folder}/daemon)')
        self.start()
        self.check(self.run_hooks(['talk', 'daemon'], ['end']), 'succeeded')
        lines = [text for _, text in sorted(self.command.lines.items()) if 'hook talk:' in text]
        self.assertEqual(len(lines), 201)
        self.assertIn('there is more', lines[-1])
        self.assertIn('The pre hook daemon: ? [31mred', self.said())

    def test_no_interpreter(self):
        """A reason, not a status."""
        (self.hooks / 'odd').write_text('#!/nowhere/sh\n')
        (self.hooks / 'odd').chmod(0o755)
        self.start()
        result = self.run_hooks(['odd'])
        self.check(result, 'failed', 'HOOK_FAILED')
        self.assertIn('The hook odd cannot be started: No such file', result['error']['message'])


class Ended(HooksCase):
    """Runs, jobs, keepers and agents that are ended in between: post hooks are run, once."""

    def check_post(self, state):
        """They ran, once."""
        expected = ['pre hold ', f'post thaw {state}']
        self.master.wait(lambda: len(self.traced()) >= 2 and not self.notes(), what='the post hook')
        self.assertEqual(self.traced(), expected)

    def begin(self, script):
        """A backup that stands in its pre hook, or behind it; the PID of its keeper."""
        self.hook('hold', 'echo $PPID >{folder}/keeper; ' + script)
        self.hook('thaw')
        self.start()
        self.command = self.add(['hold'], ['thaw'])
        return self.number('keeper')

    def job_pid(self):
        """From the lock of the one job."""
        return int(next(self.results.glob('*.lock')).read_text())

    def stopped_job(self):
        """Its PID, once it is stopped."""
        pid = self.job_pid()
        stat = pathlib.Path(f'/proc/{pid}/stat')
        self.master.wait(lambda: stat.read_text().rpartition(')')[2].split()[0] == 'T', what='a stopped job')
        return pid

    def wait_gap(self):
        """Until the pre hook has ended, and its keeper waits for the job."""
        self.master.wait(lambda: 'pre hook hold of task etc ended well' in self.log_text(), what='its end')

    def test_cancel_in_pre(self):
        """It is ended, and so is what it began."""
        self.begin('sleep 1000')
        self.command.cancel = True
        self.check(self.master.finished(self.command), 'cancelled', 'CANCELLED')
        self.check_post('cancelled')
        self.assertEqual(self.objects(), [])

    def test_cancel_between(self):
        """The post hooks run before the result is told."""
        with open(self.source / 'file', 'wb') as file:
            for _ in range(400):
                file.write(os.urandom(1 << 20))
        self.level = 17
        self.begin('true')
        self.wait_gap()
        self.command.cancel = True
        result = self.master.finished(self.command)
        self.assertEqual(result['status'], 'cancelled', result)
        self.check_post('cancelled')

    def test_job_killed(self):
        """The keeper goes on without it."""
        self.begin(STOP_JOB)
        pid = self.stopped_job()
        self.wait_gap()
        os.kill(pid, signal.SIGKILL)
        self.check(self.master.finished(self.command), 'failed', 'JOB_KILLED')
        self.check_post('interrupted')

    def test_keeper_killed(self):
        """The job has another one run what is left, and does not call the backup good."""
        keeper = self.begin(STOP_JOB)
        pid = self.stopped_job()
        self.wait_gap()
        os.kill(keeper, signal.SIGKILL)
        self.master.wait(lambda: not alive(keeper), what='the end of the keeper')
        os.kill(pid, signal.SIGCONT)
        self.check(self.master.finished(self.command), 'partial', 'HOOK_FAILED')
        self.check_post('interrupted')

    def test_keeper_killed_in_pre(self):
        """With the hook that it runs."""
        keeper = self.begin('echo $$ >{folder}/self; sleep 1000')
        hook = self.number('self')
        os.kill(keeper, signal.SIGKILL)
        self.check(self.master.finished(self.command), 'failed', 'HOOK_FAILED')
        self.master.wait(lambda: not alive(hook), what='the end of the hook')
        self.check_post('interrupted')

    def test_keeper_told_to_end(self):
        """The post hooks are run at once, and the job learns that it was too early."""
        keeper = self.begin(STOP_JOB)
        pid = self.stopped_job()
        self.wait_gap()
        os.kill(keeper, signal.SIGTERM)
        self.check_post('interrupted')
        os.kill(pid, signal.SIGCONT)
        result = self.master.finished(self.command)
        self.check(result, 'partial', 'HOOK_FAILED')
        self.assertIn('before the backup was done', result['error']['message'])

    def test_all_killed(self):
        """As when the host went down: the next agent sees to it."""
        keeper = self.begin(STOP_JOB)
        pid = self.stopped_job()
        self.wait_gap()
        os.kill(keeper, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self.kill()
        self.assertEqual(self.traced(), ['pre hold '])
        self.assertEqual(len(self.notes()), 2)
        self.start()
        self.check_post('interrupted')


if __name__ == '__main__':
    unittest.main()
