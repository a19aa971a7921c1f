#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Which snapshots a policy keeps, beside 'restic forget --dry-run'."""

import unittest

import repositories


class Forget(repositories.Repositories):
    """Snapshots of many times, and policies over them."""

    # On both sides of the borders of periods, with gaps.
    TIMES = ['2024-02-29 23:59:59', '2024-12-29 12:00:00', '2024-12-30 12:00:00', '2025-01-05 00:00:00',
             '2025-12-31 23:00:00', '2026-01-01 01:00:00', '2026-09-30 10:00:00', '2026-10-31 10:00:00',
             '2026-11-08 00:00:00', '2026-11-09 00:00:00', '2026-11-22 22:00:00', '2026-11-22 22:59:59',
             '2026-11-22 23:00:00', '2026-11-23 00:00:00']
    POLICIES = [
        ['last=3'], ['hourly=3'], ['daily=3'], ['weekly=4'], ['monthly=5'], ['yearly=2'], ['yearly=9'],
        ['last=1', 'daily=2', 'weekly=3', 'monthly=12', 'yearly=10'],
        ['within=1h'], ['within=23d'], ['within=1m'], ['within=1y9m'], ['within-hourly=2d'],
        ['within-weekly=1y', 'last=1'], ['within-monthly=2y', 'daily=2'], ['within-yearly=10y'],
    ]

    def test_as_restic(self):
        """Every policy keeps the same."""
        self.restic('init')
        (self.source / 'file').write_text('content')
        for time in self.TIMES:
            self.restic('backup', '--time', time, '--host', 'host', '--force', '.', cwd=self.source)
        snapshots = sorted(self.restic_json('snapshots', '--json'), key=lambda s: s['time'], reverse=True)
        times = [s['time'] for s in snapshots]
        self.assertEqual(len(times), len(self.TIMES))
        for policy in self.POLICIES:
            groups = self.restic_json('forget', '--dry-run', '--json', '--group-by', '',
                                      *(f'--keep-{rule}' for rule in policy))
            kept = {s['time'] for s in groups[0]['keep']}
            ours = repositories.run(repositories.WRITER_TOOL, 'forget', *policy, *times).split()
            self.assertEqual({t for t, k in zip(times, ours) if k == b'1'}, kept, policy)


if __name__ == '__main__':
    unittest.main()
