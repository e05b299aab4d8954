"""Capability names, masks and what a specification asks for."""

import pytest

from podling.errors import InvalidArgument
from podling.linux import capabilities


def test_every_capability_has_its_number() -> None:
    assert len(capabilities.BY_NAME) == 41
    assert capabilities.BY_NAME["CAP_CHOWN"] == 0
    assert capabilities.BY_NAME["CAP_SYS_ADMIN"] == 21
    assert capabilities.BY_NAME["CAP_CHECKPOINT_RESTORE"] == 40


@pytest.mark.parametrize("name", ["CAP_NET_RAW", "net_raw", "NET_RAW", "cap_net_raw"])
def test_names_are_read_in_any_form(name: str) -> None:
    assert capabilities.canonical(name) == "CAP_NET_RAW"
    assert capabilities.number(name) == 13


@pytest.mark.parametrize("name", ["", "CAP_", "ALL", "CAP_NET", "net-raw"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="unknown capability"):
        capabilities.canonical(name)


def test_masks_and_names_are_inverse() -> None:
    wanted = ["CAP_CHOWN", "CAP_NET_RAW", "CAP_CHECKPOINT_RESTORE"]
    assert capabilities.names(capabilities.mask(reversed(wanted))) == wanted
    assert capabilities.mask([]) == 0


def test_last_capability_is_read_from_the_kernel() -> None:
    assert 30 < capabilities.last() < 64


def test_what_cannot_be_granted_is_left_out_and_told() -> None:
    asked = {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NEW_IN_2040"], "effective": ["CAP_CHOWN"]}
    sets, refused = capabilities.from_specification(asked, grantable=1 << capabilities.BY_NAME["CAP_CHOWN"])
    assert (sets.bounding, sets.effective, sets.permitted) == (1, 1, 0)
    assert refused == ["CAP_KILL", "CAP_NEW_IN_2040"]


def test_no_capabilities_are_none() -> None:
    assert capabilities.from_specification(None, grantable=1)[0] == capabilities.Sets()
