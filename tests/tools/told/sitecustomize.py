# SPDX-License-Identifier: Apache-2.0
"""In the path of every test program in Python: a skipped case says so on a line of its own, with its reason.
unittest ends such a program with success, and ./check would take it for one."""

import sys
import unittest

add_skip = unittest.TextTestResult.addSkip


def tell_skip(self, test, reason):
    """Instead of TextTestResult.addSkip()."""
    print(f'\nskipped case: {test.id()}: {reason}', file=sys.stderr, flush=True)
    add_skip(self, test, reason)


unittest.TextTestResult.addSkip = tell_skip
