# SPDX-License-Identifier: Apache-2.0
"""The scheduler while its wall clock is set, and while a zone's clocks are changed. The clock is the daemon's own
(clock-shim), nobody else sees it move."""

import datetime
import time
import unittest

from ground import SCHEDULER, Ground, wait_until

DAY = 86400


def seconds(text):
    """A time of the form 2026-03-29T01:00:00 in UTC as seconds since the epoch."""
    return int(datetime.datetime.fromisoformat(text + '+00:00').timestamp())


class Clock(unittest.TestCase):
    """Each test with a store and a clock of its own."""

    def setUp(self):
        self.ground = Ground()
        self.addCleanup(self.ground.close)
        self.file = self.ground.folder / 'clock'
        self.write_offset(0)
        self.ground.start(daemons=())

    def write_offset(self, offset):
        """In one step: the daemon may look at any time."""
        fresh = self.file.with_suffix('.new')
        fresh.write_text(str(offset))
        fresh.rename(self.file)

    def set_clock(self, to):
        """Sets the daemon's clock to this second."""
        self.write_offset(to - int(time.time()))

    def move_clock(self, by):
        """Moves the daemon's clock on, or back."""
        self.write_offset(int(self.file.read_text()) + by)

    def start(self):
        """Starts the scheduler with this clock."""
        self.ground.start_daemon('scheduler', BACKUPX_TEST_CLOCK=self.file,
                                 LD_PRELOAD=self.ground.build / 'tests' / 'bus' / 'libclock-shim.so',
                                 ASAN_OPTIONS='verify_asan_link_order=0')

    def task(self, expression, zone='UTC', catch_up='yes'):
        """A task that was made now, by the daemon's clock."""
        updated = (int(time.time()) + int(self.file.read_text())) * 1000000
        return self.ground.make_task_row(schedule=(expression, zone, catch_up, updated))

    def elapses(self):
        """The elapses that were decided: seconds and states, oldest first."""
        return [(run['scheduled_for'] // 1000000, run['state'], run['origin'])
                for run in reversed(self.ground.store('runs'))]

    def wait_elapses(self, number, timeout=90):
        """Waits for so many of them."""
        wait_until(lambda: len(self.elapses()) >= number, timeout, f'{number} elapses')
        return self.elapses()

    def end_runs(self):
        """Ends all runs, so that the next ones do not overlap."""
        self.ground.sql('UPDATE runs SET state = 3 WHERE state < 3')

    # --- zones ---

    def test_gap(self):
        """Berlin, 29 March 2026: 02:30 does not exist and runs at 03:00 summer time, once."""
        self.set_clock(seconds('2026-03-29T00:59:57'))
        self.task('30 2 * * *', 'Europe/Berlin')
        self.start()
        self.assertEqual(self.wait_elapses(1), [(seconds('2026-03-29T01:00:00'), 'queued', 'schedule')])
        self.end_runs()
        self.set_clock(seconds('2026-03-29T01:29:58'))
        time.sleep(7)
        self.assertEqual(len(self.elapses()), 1)
        self.set_clock(seconds('2026-03-30T00:29:58'))
        self.assertEqual(self.wait_elapses(2)[1], (seconds('2026-03-30T00:30:00'), 'queued', 'schedule'))

    def test_overlap(self):
        """Berlin, 25 October 2026: 02:30 exists twice and runs the first time; every hour is every hour."""
        self.set_clock(seconds('2026-10-25T00:29:57'))
        daily = self.task('30 2 * * *', 'Europe/Berlin')
        hourly = self.ground.make_task_row(name='hourly', schedule=(
            '30 * * * *', 'Europe/Berlin', 'yes', seconds('2026-10-25T00:29:57') * 1000000))
        self.start()
        self.wait_elapses(2)
        self.end_runs()
        self.set_clock(seconds('2026-10-25T01:29:57'))
        self.wait_elapses(3)
        time.sleep(4)
        runs = [(run['task'], run['scheduled_for'] // 1000000) for run in self.ground.store('runs')]
        self.assertEqual(sorted(runs), [(daily, seconds('2026-10-25T00:30:00')),
                                        (hourly, seconds('2026-10-25T00:30:00')),
                                        (hourly, seconds('2026-10-25T01:30:00'))])

    # --- the clock is set ---

    def test_forward(self):
        """Set forward over elapses: one run for all of them, late."""
        self.set_clock(seconds('2026-06-01T12:00:00'))
        self.task('0 2 * * *')
        self.start()
        self.move_clock(3 * DAY)
        self.assertEqual(self.wait_elapses(1), [(seconds('2026-06-04T02:00:00'), 'queued', 'catch_up')])

    def test_forward_without_catch_up(self):
        """The same as a record, where the task does not catch up."""
        self.set_clock(seconds('2026-06-01T12:00:00'))
        self.task('0 2 * * *', catch_up='no')
        self.start()
        self.move_clock(3 * DAY)
        self.assertEqual(self.wait_elapses(1), [(seconds('2026-06-04T02:00:00'), 'missed', 'schedule')])
        self.assertIn('3 elapses from 2026-06-02T02:00:00', self.ground.store('runs')[0]['error'])

    def test_back(self):
        """Set back behind an elapse that had its run: it gets no other, and the next one comes at its time."""
        self.set_clock(seconds('2026-06-01T01:59:58'))
        self.task('0 2 * * *')
        self.start()
        self.wait_elapses(1)
        self.end_runs()
        self.move_clock(-10)
        time.sleep(17)
        self.assertEqual(len(self.elapses()), 1)
        self.assertEqual(self.ground.property(SCHEDULER, 'NextElapseUSec'),
                         f't {seconds("2026-06-02T02:00:00") * 1000000}')

    def test_far_back(self):
        """A clock that stood a year ahead at start and is set right: the schedule does not wait for a year."""
        self.set_clock(seconds('2027-06-01T12:00:00'))
        self.task('0 2 * * *')
        self.start()
        # The kernel would tell at once; this clock is looked at every five seconds.
        self.set_clock(seconds('2026-06-01T01:59:40'))
        self.assertEqual(self.wait_elapses(1), [(seconds('2026-06-01T02:00:00'), 'queued', 'schedule')])


if __name__ == '__main__':
    unittest.main(verbosity=2)
