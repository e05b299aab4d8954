"""Mount options, from text to bits."""

from podling.linux import mounts, syscalls


def test_later_options_win() -> None:
    parsed = mounts.parse_options(["ro", "nosuid", "rw"])
    assert (parsed.attr_set, parsed.attr_clr) == (syscalls.MOUNT_ATTR_NOSUID, syscalls.MOUNT_ATTR_RDONLY)
    parsed = mounts.parse_options(["rw", "ro"])
    assert (parsed.attr_set, parsed.attr_clr) == (syscalls.MOUNT_ATTR_RDONLY, 0)


def test_setting_an_access_time_clears_the_field() -> None:
    parsed = mounts.parse_options(["noatime", "strictatime"])
    assert parsed.attr_set == syscalls.MOUNT_ATTR_STRICTATIME and parsed.attr_clr == syscalls.MOUNT_ATTR__ATIME


def test_recursive_options_and_propagation() -> None:
    parsed = mounts.parse_options(["rbind", "rro", "rslave", "private"])
    assert parsed.bind and parsed.recursive and parsed.attr_set == 0
    assert parsed.below_set == syscalls.MOUNT_ATTR_RDONLY
    assert parsed.propagation == [(syscalls.MS_SLAVE, True), (syscalls.MS_PRIVATE, False)]


def test_the_rest_is_the_file_systems() -> None:
    parsed = mounts.parse_options(["mode=755", "size=1m", "newinstance", "sync", "defaults", "tmpcopyup"])
    assert parsed.parameters == [("mode", "755"), ("size", "1m"), ("newinstance", None), ("sync", None)]
    assert parsed.copy_up
