#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Our cuts of restic's kind against those that restic itself makes with the same polynomial."""

import unittest

import repositories


class Chunks(repositories.Repositories):
    """Files that restic backed up, cut by us."""

    FILES = {
        'random': repositories.random_bytes(1, 24 << 20),
        'zeros': bytes(3 << 20),
        'mixed': repositories.random_bytes(2, 700_001) + bytes(1_500_000) + repositories.random_bytes(3, 9 << 20),
        # The second half of the numbers is as the first: chunks come again.
        'text': 2 * b''.join(b'%d,%d,a line of a table\n' % (i, i * i) for i in range(150_000)),
        # A period of 64 bytes never has a cut of its own: up to the maximum.
        'period': repositories.random_bytes(4, 64) * (300 << 10),
        'short': b'less than the minimum',
        'minimum': repositories.random_bytes(5, 512 << 10),
    }

    def test_as_restic(self):
        """Length and name of every chunk of every file."""
        self.restic('init')
        for name, data in self.FILES.items():
            (self.source / name).write_bytes(data)
        self.restic('backup', '.', cwd=self.source)
        polynomial = self.restic_json('cat', 'config')['chunker_polynomial']
        snapshot = self.restic_json('snapshots', '--json')[-1]
        tree = self.restic_json('cat', 'blob', snapshot['tree'])
        found = {node['name']: node['content'] for node in tree['nodes']}
        self.assertEqual(set(found), set(self.FILES))
        for name, data in self.FILES.items():
            cuts = [line.split() for line in repositories.run(
                repositories.WRITER_TOOL, 'cuts', 'rabin', polynomial, self.source / name).decode().splitlines()]
            self.assertEqual([digest for _, digest in cuts], found[name], name)
            self.assertEqual(sum(int(size) for size, _ in cuts), len(data))


if __name__ == '__main__':
    unittest.main()
