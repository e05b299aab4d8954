"""`podling top`: a container's processes, read from the host's /proc."""

from __future__ import annotations

import sys

from podling.cli import tables
from podling.cli.common_flags import LATEST
from podling.cli.flags import UsageError
from podling.cli.verb import Invocation, Verb, any_arguments

VERB = Verb(
    "Display the running processes of a container",
    usage="[options] CONTAINER [FORMAT-DESCRIPTORS|ARGS...]",
    description="Display the running processes of a container.\n\nThe top command extends the ps(1) compatible AIX "
    "descriptors with container-specific ones as shown below.\nArguments that are no descriptors (e.g, -eo) are those "
    "of ps(1), which runs on the host, in the container's PID namespace.\n\nFormat Descriptors:\n  args,capbnd,capeff,"
    "capinh,capprm,comm,etime,group,groups,hgroup,hgroups,hpid,huser,label,nice,pcpu,pgid,pid,ppid,rgroup,rss,\n"
    "  ruser,seccomp,state,stime,time,tty,user,vsz",
    examples=("ctrID", "--latest", "ctrID pid seccomp args %C", "ctrID -eo user,pid,comm"),
    flags=(LATEST,),
    arguments=any_arguments,
    interspersed=False,
)


def run(call: Invocation) -> int:
    """Print the processes as a table, or what ps(1) says of them."""
    from podling.engine import find, top

    if call.flags.boolean("latest"):
        container, descriptors = find.latest(call.settings), call.arguments
    elif call.arguments:
        container, descriptors = find.find(call.settings, call.arguments[0]), call.arguments[1:]
    else:
        raise UsageError("you must provide the name or id of a running container")
    rows = top.top(call.settings, container, descriptors)
    if any(len(row) > 1 for row in rows):
        sys.stdout.write(tables.render(rows))
    else:
        sys.stdout.write("".join(row[0] + "\n" for row in rows))
    return 0
