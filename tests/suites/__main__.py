"""Run third-party suites on our three programs: `make suites SUITES=DIRECTORY [OCI_SUITES=DIRECTORY] [PODMAN_TESTS=…]`.

DIRECTORY holds the runners, each of which prints a row per test:

    oci/run-runtime-tools RUNTIME            the runtime
    oci/run-crun-tests RUNTIME               the runtime
    oci/run-conmon-bats CONMON RUNTIME       the monitor, over the real runc and over ours
    podman-bats --tests PODMAN_TESTS ENGINE  the engine

The runners find the suites' sources by their own variables (OCI_SUITES). A suite whose runner or source is not given
is named as such. The exit status tells whether all that ran ended; how a suite scored is in its rows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(sys.prefix) / "bin"
ENGINE, MONITOR, RUNTIME = (str(PROGRAMS / name) for name in ("podling", "podling-conmon", "podling-runc"))


def suites() -> list[tuple[str, list[str], str]]:
    """Return runner, arguments, and the variable that must be set, of each suite."""
    return [
        ("oci/run-runtime-tools", [RUNTIME], "OCI_SUITES"),
        ("oci/run-crun-tests", [RUNTIME], "OCI_SUITES"),
        ("oci/run-conmon-bats", [MONITOR, "/usr/sbin/runc"], "OCI_SUITES"),
        ("oci/run-conmon-bats", [MONITOR, RUNTIME], "OCI_SUITES"),
        ("podman-bats", ["--tests", os.environ.get("PODMAN_TESTS", ""), ENGINE], "PODMAN_TESTS"),
    ]


def main(arguments: list[str]) -> int:
    """Run what is given and return the exit status."""
    if len(arguments) != 1:
        print("name a directory of runners: make suites SUITES=DIRECTORY", file=sys.stderr)
        return 2
    failed = 0
    for runner, words, variable in suites():
        program = Path(arguments[0], runner)
        if not program.exists() or variable not in os.environ:
            print(f"{runner}: not given ({program if not program.exists() else variable})", flush=True)
            continue
        print(f"{runner} {' '.join(words)}", flush=True)
        failed += subprocess.run([program, *words]).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
