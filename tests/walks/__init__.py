"""The walks: proof that nothing is lost, whatever is killed and whatever fails, at every point where the world changes.

    tracing.py       a point, a fault, strace around one role of the chain
    verbs.py         the verbs that are walked: what comes before, what may remain
    walking.py       a verb, a role, a kind of fault: point by point, with the inventories compared
    test_kills.py    SIGKILL at every point             test_failures.py   ENOSPC, EIO, EPERM in place of the call
    test_losses.py   monitors killed, reboots, runroots deleted, disks full, terminals lost, crowds

`make test` walks an even sample of the points, `make walks` all of them.
"""
