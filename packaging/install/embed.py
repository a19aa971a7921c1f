#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes C source of the installer: as text, and packed for the commands that carry all of it."""

import gzip
import sys


def array(name, data):
    """A constant array and its size."""
    rows = [', '.join(f'{byte}' for byte in data[i : i + 20]) for i in range(0, len(data), 20)]
    body = ',\n        '.join(rows)
    return (
        f'const unsigned char {name}[] = {{\n        {body}\n}};\n'
        f'const size_t {name}_size = sizeof({name});\n'
    )


def main():
    """embed.py SCRIPT OUTPUT"""
    with open(sys.argv[1], 'rb') as source:
        text = source.read()
    with open(sys.argv[2], 'w', encoding='ascii') as out:
        out.write('/* Made by embed.py. */\n#include "services/api/install-script.h"\n\n')
        out.write(array('install_script', text))
        out.write(array('install_script_gzip', gzip.compress(text, 9, mtime=0)))


if __name__ == '__main__':
    main()
