"""The floor: the shortest program that makes the same container and runs `true` in it. Prints milliseconds per part.

    python3 -I -S floor.py LOWER[:LOWER…]

    namespaces   clone of pid, mount, network, ipc, uts
    root         overlay, proc, sys, dev with its nodes, devpts, shm, mqueue
    process      pivot_root, exec, wait
    removal      the overlay's upper directory
No image, no cgroup, no seccomp, no network beyond the namespace, no log, no state. Two processes, no engine.
"""

import ctypes
import itertools
import os
import shutil
import sys
import tempfile
import time

libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWUTS, NEWIPC, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_PRIVATE_REC, MNT_DETACH = 0x44000, 2
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}


def must(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mount(kind: str, target: str, options: str = "", flags: int = 0) -> None:
    os.makedirs(target, exist_ok=True)
    must(libc.mount(kind.encode(), target.encode(), kind.encode(), flags, options.encode()))


def make_root(base: str, lower: str) -> str:
    root = f"{base}/merged"
    for name in ("diff", "work"):
        os.mkdir(f"{base}/{name}")
    must(libc.mount(None, b"/", None, MS_PRIVATE_REC, None))
    mount("overlay", root, f"lowerdir={lower},upperdir={base}/diff,workdir={base}/work")
    mount("proc", f"{root}/proc", flags=14)
    mount("sysfs", f"{root}/sys", flags=15)
    mount("tmpfs", f"{root}/dev", "mode=755,size=64k")
    mount("devpts", f"{root}/dev/pts", "newinstance,ptmxmode=0666")
    mount("tmpfs", f"{root}/dev/shm", "size=64000k", 14)
    mount("mqueue", f"{root}/dev/mqueue", flags=14)
    for name, minor in DEVICES.items():
        os.mknod(f"{root}/dev/{name}", 0o20666, os.makedev(1, minor))
    return root


def first_process(base: str, lower: str) -> None:
    root = make_root(base, lower)
    os.chdir(root)
    os.write(2, f"{time.monotonic():.6f} ".encode())
    must(libc.syscall({"x86_64": 155, "aarch64": 41}[os.uname().machine], b".", b"."))  # pivot_root
    must(libc.umount2(b".", MNT_DETACH))
    os.execv("/usr/bin/true", ["true"])


def main(lower: str) -> None:
    base = tempfile.mkdtemp(dir="/var/tmp", prefix="pl-floor-")
    reader, writer = os.pipe()
    started = time.monotonic()
    outer = os.fork()
    if not outer:
        os.dup2(writer, 2)
        must(libc.unshare(NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET))
        os.write(2, f"{time.monotonic():.6f} ".encode())
        child = os.fork()
        if not child:
            first_process(base, lower)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    status = os.waitpid(outer, 0)[1]
    ended = time.monotonic()
    os.close(writer)
    said = os.read(reader, 4096).decode()
    shutil.rmtree(base)
    if status:
        sys.exit(f"the floor's container failed: {said}")
    unshared, rooted = (float(word) for word in said.split())
    marks = [started, unshared, rooted, ended, time.monotonic()]
    print(*[f"{(after - before) * 1000:.2f}" for before, after in itertools.pairwise(marks)])


main(sys.argv[1])
