"""kill -9 at every call that changes anything: of the engine, the monitor, the runtime, the exit command.

After the next command of any kind that changes something, everything is as before, or as the verb was to make it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.walks.verbs import VERBS
from tests.walks.walk import Walk

# how many points of each role are in the sample
SAMPLES = {"engine": 4, "chain": 3, "monitor": 3, "create": 4, "start": 1, "delete": 2, "cleanup": 2, "exec": 2}
CASES = [(verb, role) for verb, described in VERBS.items() for role in described.roles]


@pytest.mark.parametrize(("verb", "role"), CASES, ids=["-".join(case) for case in CASES])
def test_killed(walk: Callable[[str, str], Walk], verb: str, role: str) -> None:
    walked = walk(verb, role)
    wrong = list(walked.kills(SAMPLES[role]))
    assert not wrong, "\n".join(wrong)
    assert walked.reached, "no fault struck"
