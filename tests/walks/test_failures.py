"""ENOSPC, EIO and EPERM in place of every call that changes anything.

The verb says so in one line, and what it had done is undone before any other command runs; or it works all the same.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.walks.verbs import VERBS
from tests.walks.walk import EVERYTHING, Walk

ERRORS = ("ENOSPC", "EIO", "EPERM")
SAMPLES = {"engine": 4, "chain": 3, "monitor": 3, "create": 4, "start": 1, "delete": 2, "cleanup": 1, "exec": 2}
CASES = [(verb, role) for verb, described in VERBS.items() for role in described.roles]
CHOSEN = [
    (verb, role, error)
    for number, (verb, role) in enumerate(CASES)
    for error in (ERRORS if EVERYTHING else [ERRORS[number % len(ERRORS)]])
]


@pytest.mark.parametrize(("verb", "role", "error"), CHOSEN, ids=["-".join(case) for case in CHOSEN])
def test_failed(walk: Callable[[str, str], Walk], verb: str, role: str, error: str) -> None:
    walked = walk(verb, role)
    wrong = list(walked.failures(error, SAMPLES[role]))
    assert not wrong, "\n".join(wrong)
    assert walked.reached, "no fault struck"
