# SPDX-License-Identifier: Apache-2.0
"""What bench_repository.py backs up, and how it changes: the same for the same seed and machine."""

import hashlib
import os
import random
import shutil

MIB = 1 << 20


def make_a(folder, size):
    """Eight files of random bytes."""
    for number in range(8):
        with open(folder / f'big-{number}', 'wb') as file:
            for piece in range(size // 8):
                file.write(random.Random(number * 100_000 + piece).randbytes(MIB))


def change_a(folder, step):
    """One percent, in eight places of each file."""
    for number, path in enumerate(sorted(folder.iterdir())):
        size, places = path.stat().st_size, random.Random(step * 1000 + number)
        with open(path, 'r+b') as file:
            for _ in range(8):
                file.seek(places.randrange(size - size // 800))
                file.write(places.randbytes(size // 800))


def make_b(folder, count):
    """A sample of the files below /usr, by the digests of their names."""
    found = []
    for top in ('/usr/include', '/usr/share', '/usr/lib'):
        for directory, _, names in os.walk(top):
            for path in (os.path.join(directory, name) for name in names):
                if os.path.isfile(path) and not os.path.islink(path) and 0 < os.path.getsize(path) <= MIB // 4:
                    found.append((hashlib.md5(os.fsencode(path)).hexdigest(), path))
    for _, path in sorted(found)[:count]:
        target = folder / path[1:]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def change_b(folder, step):
    """A line in the middle of one percent of the files."""
    paths = sorted(path for path in folder.glob('**/*') if path.is_file())
    for path in random.Random(step).sample(paths, max(1, len(paths) // 100)):
        data = path.read_bytes()
        middle = len(data) // 2
        path.write_bytes(data[:middle] + b'\n/* change %d */\n' % step + data[middle:])


def rows(start, step):
    """A thousand lines of a table, as they are since that step."""
    words = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta']
    pick = random.Random(f'{start} {step}')
    return [f"INSERT INTO t VALUES ({number},{pick.getrandbits(48)},'{' '.join(pick.choices(words, k=5))}',"
            f"{pick.random()},NULL);\n" for number in range(start, start + 1000)]


def make_c(folder, size):
    """Lines of a table."""
    with open(folder / 'dump.sql', 'w', encoding='ascii') as file:
        for start in range(0, size * MIB // 110, 1000):
            file.writelines(rows(start, 0))


def rewrite(folder, change):
    """Replaces the dump by what becomes of each thousand of its lines."""
    with open(folder / 'dump.sql', encoding='ascii') as old, open(folder / 'new', 'w', encoding='ascii') as new:
        start = 0
        while lines := [line for line in (old.readline() for _ in range(1000)) if line]:
            new.writelines(change(start, lines))
            start += 1000
    os.rename(folder / 'new', folder / 'dump.sql')


def change_c(folder, step):
    """One percent of the lines, in one place."""
    count = (folder / 'dump.sql').stat().st_size // 110
    first = count // 2000 * 1000
    rewrite(folder, lambda start, lines: rows(start, step) if first <= start <= first + count // 100 else lines)


def scatter_c(folder, step):
    """One line of each hundred."""
    def change(_, lines):
        for at in range(step % 100, len(lines), 100):
            lines[at] = lines[at].replace('NULL', f'{step}')
        return lines
    rewrite(folder, change)


def make_d(folder, gap):
    """A hundred blocks of a mebibyte, far from each other."""
    with open(folder / 'disk.img', 'wb') as file:
        for number in range(100):
            file.seek(number * (gap + 1) * MIB)
            file.write(random.Random(number).randbytes(MIB))
        file.truncate(100 * (gap + 1) * MIB)


def make_e(folder, count):
    """One directory of small files."""
    for number in range(count):
        with open(folder / f'{number:07}-in-one-directory.txt', 'w', encoding='ascii') as file:
            file.write(f'The content of file {number}.\n')
