# SPDX-License-Identifier: Apache-2.0
"""The scheduler: each elapse is decided once, whatever happens to the daemon."""

import json
import time
import unittest

from ground import SCHEDULER, Ground, wait_until

HOUR = 3600 * 1000000
DAY = 24 * HOUR


def now():
    """Wall clock in microseconds."""
    return int(time.time() * 1000000)


class Scheduler(unittest.TestCase):
    """Each test with a store of its own; the dispatcher is left out."""

    def setUp(self):
        self.ground = Ground()
        self.addCleanup(self.ground.close)

    def start(self):
        """Starts the scheduler alone."""
        self.ground.start(daemons=('scheduler',))

    def runs(self, **like):
        """All runs, newest first, that have these values."""
        return [run for run in self.ground.store('runs')
                if all(run[key] == value for key, value in like.items())]

    def reload(self):
        """What the API does after it changed a task."""
        self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'TasksChanged')

    def listed(self):
        """ListSchedules as a list of tuples."""
        answer = self.ground.busctl('--json=short', 'call', *SCHEDULER, SCHEDULER[0], 'ListSchedules')
        return json.loads(answer)['data'][0]

    def test_elapse(self):
        """A schedule of every second makes a run; the next ones overlap and are recorded."""
        self.start()
        with self.ground.watch(SCHEDULER) as signals:
            task = self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
            self.reload()
            run = wait_until(lambda: self.runs(state='queued'), 60, 'a run')[0]
            signals.wait(f'RunQueued {run["id"]}')
        self.assertEqual(run['task'], task)
        self.assertEqual(run['origin'], 'schedule')
        self.assertEqual(run['scheduled_for'] % 1000000, 0)
        missed = wait_until(lambda: self.runs(state='missed'), 60, 'an overlap')
        self.assertEqual(missed[0]['error_code'], 'OVERLAP')
        self.assertEqual(len(self.runs(state='queued')), 1)

    def test_lost_bell(self):
        """Nobody tells of the task: the store is looked at all the same."""
        self.start()
        self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
        wait_until(lambda: self.runs(state='queued'), 60, 'a run')

    def test_catch_up(self):
        """What elapsed while nothing ran is started once, late."""
        self.ground.start(daemons=())
        # The next one is half an hour away, whenever this runs.
        minute = (now() // 60000000 + 30) % 60
        task = self.ground.make_task_row(schedule=(f'{minute} * * * *', 'UTC', 'yes', now() - 3 * DAY))
        self.ground.start_daemon('scheduler')
        runs = wait_until(self.runs, 60, 'a run')
        self.assertEqual([(r['task'], r['state']) for r in runs], [(task, 'queued')])
        self.assertIn(runs[0]['origin'], ('catch_up', 'schedule'))
        self.assertLessEqual(now() - runs[0]['scheduled_for'], HOUR + 10000000)
        for _ in range(3):
            self.ground.restart('scheduler', kill=True)
        time.sleep(0.3)
        self.assertEqual(len(self.runs()), 1)

    def test_no_catch_up(self):
        """The same is recorded, with its number, where the task does not catch up."""
        self.ground.start(daemons=())
        self.ground.make_task_row(schedule=('0 0 1 * *', 'UTC', 'no', now() - 100 * DAY))
        self.ground.start_daemon('scheduler')
        run = wait_until(self.runs, 60, 'a record')[0]
        self.assertEqual((run['state'], run['error_code']), ('missed', 'NOT_RUNNING'))
        self.assertRegex(run['error'], '^[34] elapses from ')
        self.ground.restart('scheduler', kill=True)
        time.sleep(0.3)
        self.assertEqual(len(self.runs()), 1)

    def test_killed_all_the_time(self):
        """A scheduler that is killed again and again decides every second at most once."""
        self.start()
        self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
        self.reload()
        for round_number in range(12):
            time.sleep(0.05 + 0.11 * (round_number % 5))
            self.ground.restart('scheduler', kill=True)
        wait_until(lambda: self.runs(state='queued'), 60, 'a run')
        elapses = [run['scheduled_for'] for run in self.runs()]
        self.assertEqual(len(elapses), len(set(elapses)))
        self.assertEqual(len(self.runs(state='queued')), 1)

    def test_broken_rows(self):
        """Rows that cannot be parsed disable their task, visibly, and nothing else."""
        self.ground.start(daemons=())
        schedules = (('61 * * * *', 'UTC'), ('gibberish at night', 'UTC'), ('daily', 'Mars/Olympus'),
                     ('0 0 30 2 *', 'UTC'), ('x' * 5000, 'UTC'), ('daily', '../../etc/passwd'))
        broken = [self.ground.make_task_row(name=f'broken-{i}', schedule=(*schedule, 'yes'))
                  for i, schedule in enumerate(schedules)]
        good = self.ground.make_task_row(name='good', schedule=('* * * * * *', 'UTC', 'yes'))
        self.ground.start_daemon('scheduler')
        wait_until(lambda: self.runs(task=good, state='queued'), 60, 'the good one')
        rows = {row[0]: row for row in self.listed()}
        for task in broken:
            self.assertNotEqual(rows[task][6], '')
            self.assertEqual(rows[task][5], 0)
            self.assertEqual(self.runs(task=task), [])
        self.assertIn('column 1: this minute is above 59', rows[broken[0]][6])
        self.assertEqual(rows[good][6], '')
        self.assertIn("The schedule of task 'broken-0' is broken",
                      self.ground.processes['scheduler'].tail(500))
        # Mended, it runs.
        self.ground.store('reschedule', broken[0], '* * * * * *')
        self.reload()
        wait_until(lambda: self.runs(task=broken[0], state='queued'), 60, 'the mended one')

    def test_disabled(self):
        """A disabled task is listed and does not run; enabled again it does."""
        self.ground.start(daemons=())
        task = self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
        self.ground.store('enable', task, 'no')
        self.ground.start_daemon('scheduler')
        time.sleep(1.3)
        self.assertEqual(self.runs(), [])
        self.assertFalse(self.listed()[0][4])
        self.ground.store('enable', task, 'yes')
        self.reload()
        wait_until(lambda: self.runs(state='queued'), 60, 'a run')

    def test_pause(self):
        """A pause holds over a restart; what elapsed in it is caught up."""
        self.start()
        self.ground.call(SCHEDULER, 'Pause')
        self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
        self.reload()
        self.ground.restart('scheduler', kill=True)
        time.sleep(1.3)
        self.assertEqual(self.runs(), [])
        self.assertEqual(self.ground.property(SCHEDULER, 'ActiveSchedules'), 'u 0')
        self.ground.call(SCHEDULER, 'Resume')
        wait_until(lambda: self.runs(state='queued'), 60, 'a run')

    def test_verify(self):
        """Checks have a schedule of their own. They are about the newest backup in a repository, do not overlap, share
        elapses with backups, and read one share of the data after the other."""
        self.start()
        task = self.ground.make_task_row(schedule=('* * * * * *', 'UTC', 'yes'))
        self.ground.sql("UPDATE tasks SET format = 'repository', verify_expression = '* * * * * *',"
                        " verify_timezone = 'UTC', verify_shares = 2, revision = revision + 1 WHERE id = ?", task)
        self.reload()
        wait_until(lambda: 'nothing to check' in self.ground.processes['scheduler'].tail(500), 60, 'an elapse')
        self.assertEqual(self.runs(kind='verify'), [])
        self.ground.sql('INSERT INTO runs (kind, state, task_id, task_name, node_id, node_name, deadline, queued,'
                        " finished, format, archives) VALUES (0, 3, ?, 'etc', 1, 'local', 0, 1, 1, 'repository', 1)",
                        task)
        for share in (1, 2, 1):
            run = wait_until(lambda: self.runs(kind='verify', state='queued'), 60, 'a check')[0]
            self.assertEqual((run['task'], run['node'], run['origin']), (task, 1, 'schedule'))
            [(request, source)] = self.ground.sql('SELECT request, source_run FROM runs WHERE id = ?', run['id'])
            self.assertEqual(json.loads(request), {'share': share, 'shares': 2})
            self.assertEqual(self.ground.sql('SELECT format FROM runs WHERE id = ?', source), [('repository',)])
            wait_until(lambda seen=run: any(missed['id'] > seen['id'] for missed in
                                            self.runs(kind='verify', error_code='OVERLAP')), 60, 'an overlap')
            self.assertEqual(len(self.runs(kind='verify', state='queued')), 1)
            # As the dispatcher does it.
            self.ground.sql('UPDATE runs SET state = 3, finished = queued WHERE id = ?', run['id'])
        both = [{run['scheduled_for'] for run in self.runs(kind=kind)} for kind in ('backup', 'verify')]
        self.assertNotEqual(both[0] & both[1] - {0}, set())

    def test_by_hand(self):
        """Requests make runs with an audit row; a second one is a conflict."""
        self.start()
        task = self.ground.make_task_row()
        with self.ground.watch(SCHEDULER) as signals:
            run = self.ground.queue(task)
            signals.wait(f'RunQueued {run}')
        shown = self.ground.store('run', run)
        self.assertEqual((shown['state'], shown['origin'], shown['username']), ('queued', 'manual', 'ann'))
        self.assertIn({'action': 'task.run', 'username': 'ann', 'object': task}, self.ground.store('audit'))
        request = json.dumps({'kind': 'backup', 'task_id': task})
        answer = self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's', request,
                                  check=False)
        self.assertTrue(answer.startswith('org.backupx.Error.Conflict: '), answer)
        answer = self.ground.call(SCHEDULER, 'RunNow', 't', task, check=False)
        self.assertIn('has not ended', answer)
        self.assertEqual(len(self.runs()), 1)
        self.assertEqual(len(self.ground.store('audit')), 1)

    def test_restore_of_nothing(self):
        """A run that left no archive cannot be restored."""
        self.start()
        run = self.ground.queue(self.ground.make_task_row())
        request = {'kind': 'restore', 'source_run': run,
                   'restore': {'destination': {'path': '/tmp/x'}, 'paths': []}}
        answer = self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's',
                                  json.dumps(request), check=False)
        self.assertTrue(answer.startswith('org.backupx.Error.Conflict: '), answer)
        request['source_run'] = 4711
        answer = self.ground.door(SCHEDULER, 'org.backupx.Internal.Scheduler1', 'QueueRun', 's',
                                  json.dumps(request), check=False)
        self.assertTrue(answer.startswith('org.backupx.Error.NotFound: '), answer)


if __name__ == '__main__':
    unittest.main(verbosity=2)
