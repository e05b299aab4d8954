"""The container's view of its cgroups.

    version 2   cgroup2 at the destination
    version 1   a tmpfs at the destination, and in it one directory per hierarchy, with a symlink for each controller
                that shares one:   cpu,cpuacct/   cpu -> cpu,cpuacct   memory/   systemd/

With a cgroup namespace a new mount of a hierarchy shows the container's own cgroup as its root. Without one, the
directory of the container's cgroup is bound instead on version 1; version 2 shows the host's tree, as runc has it.
"""

from __future__ import annotations

import os

from podling.linux import cgroups, mounts, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from podling.runtime.rootfs import Assembly

_RO = syscalls.MOUNT_ATTR_RDONLY


def mount(assembly: Assembly, destination: str, options: mounts.Options) -> None:
    """Mount the cgroups at a destination; the calling process is in the container's cgroup already."""
    target = assembly.root.directory(destination)
    if cgroups.layout() == "v2":
        tree = _version_2(options)
        assembly.place(tree, target, options)
        os.close(tree)
        return
    writable = options.attr_set & ~_RO
    tree = mounts.filesystem("tmpfs", "tmpfs", [("mode", "755")], writable)
    mounts.attach(tree, target)
    os.close(target)
    has_namespace = any(row["type"] == "cgroup" for row in assembly.config["linux"].get("namespaces") or ())
    for directory, controllers in _hierarchies().items():
        _place_hierarchy(tree, directory, controllers, options, has_namespace)
    for flag, recursive in options.propagation:
        mounts.set_propagation(tree, flag, recursive=recursive)
    mounts.set_attributes(tree, to_set=options.attr_set & _RO)
    os.close(tree)


def _version_2(options: mounts.Options) -> int:
    """Return the unified hierarchy; a user namespace that may not mount it gets the host's mount."""
    try:
        return mounts.filesystem("cgroup2", "cgroup2", [], options.attr_set)
    except OSError:
        mountpoint = cgroups.hierarchies()[cgroups.UNIFIED][0]
        own = cgroups.directory(cgroups.UNIFIED, cgroups.membership()[cgroups.UNIFIED])
        tree = mounts.clone(syscalls.AT_FDCWD, own or mountpoint, recursive=True)
        mounts.set_attributes(tree, to_set=options.attr_set, recursive=True)
        return tree


def _hierarchies() -> dict[str, list[str]]:
    """Return the version 1 hierarchies: mount point on the host to controllers."""
    found: dict[str, list[str]] = {}
    for controller, (mountpoint, _root) in cgroups.hierarchies().items():
        if controller != cgroups.UNIFIED:
            found.setdefault(mountpoint, []).append(controller)
    return found


def _place_hierarchy(
    tree: int, mountpoint: str, controllers: list[str], options: mounts.Options, has_namespace: bool
) -> None:
    name = os.path.basename(mountpoint)
    os.mkdir(name, 0o755, dir_fd=tree)
    if has_namespace:
        parameters: list[tuple[str, str | None]] = []
        for controller in controllers:
            if controller.startswith("name="):
                parameters += [("none", None), ("name", controller.removeprefix("name="))]
            else:
                parameters.append((controller, None))
        hierarchy = mounts.filesystem("cgroup", "cgroup", parameters, options.attr_set)
    else:
        own = cgroups.directory(controllers[0], cgroups.membership()[controllers[0]])
        hierarchy = mounts.clone(syscalls.AT_FDCWD, own, recursive=True)
        mounts.set_attributes(hierarchy, to_set=options.attr_set)
    target = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tree)
    mounts.attach(hierarchy, target)
    os.close(target)
    os.close(hierarchy)
    for controller in controllers:
        if controller != name and not controller.startswith("name="):
            os.symlink(name, controller, dir_fd=tree)
