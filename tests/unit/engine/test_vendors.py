"""What vendors and administrators leave in directories: CDI devices and OCI hooks; and the YAML they write."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.engine import devices_cdi, hooks_config
from podling.errors import Corrupt, InvalidArgument
from podling.oci import yamltext

CDI = """---
cdiVersion: 0.5.0
kind: vendor.com/gpu
containerEdits:
  env:
  - COMMON=yes
  hooks:
    - hookName: createContainer
      path: /usr/bin/hook
      args: ["hook", "update", '--folder=/a b']
devices:
- name: "0"
  containerEdits:
    deviceNodes:
    - path: /dev/null
      permissions: rw
    mounts:
    - hostPath: /usr/lib/x.so
      containerPath: /usr/lib/x.so   # read-only
      options: [ro, nosuid, bind]
- name: all
  containerEdits: {}
"""


def document() -> dict[str, Any]:
    process = {"env": ["COMMON=no", "A=1"], "user": {"uid": 0, "gid": 0}, "args": ["/bin/sh"]}
    return {"process": process, "mounts": [], "linux": {}, "annotations": {"run.this": "yes"}}


def test_cdi_device(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text(CDI)
    (tmp_path / "broken.json").write_text("{")
    made = document()
    devices_cdi.inject(made, ["vendor.com/gpu=0", "vendor.com/gpu=all"], [str(tmp_path), "/nope"])
    assert made["process"]["env"] == ["A=1", "COMMON=yes"]
    (device,) = made["linux"]["devices"]
    assert (device["path"], device["major"], device["minor"]) == ("/dev/null", 1, 3)
    (rule,) = made["linux"]["resources"]["devices"]
    assert (rule["access"], rule["allow"]) == ("rw", True)
    assert made["mounts"][0]["options"] == ["ro", "nosuid", "bind"]
    hook = {"path": "/usr/bin/hook", "args": ["hook", "update", "--folder=/a b"]}
    assert made["hooks"] == {"createContainer": [hook]}


def test_a_later_directory_wins(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        device = {"name": "d", "containerEdits": {"env": [f"FROM={name}"]}}
        (tmp_path / name / "d.json").write_text(json.dumps({"kind": "v.org/c", "devices": [device]}))
    made = document()
    devices_cdi.inject(made, ["v.org/c=d"], [str(tmp_path / "one"), str(tmp_path / "two")])
    assert "FROM=two" in made["process"]["env"]


def test_unknown_cdi_device(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^setting up CDI devices: unresolvable CDI devices vendor.com/gpu=9$"):
        devices_cdi.check(["vendor.com/gpu=9"], [str(tmp_path)])


@pytest.mark.parametrize(
    ("name", "qualified"),
    [("vendor.com/gpu=0", True), ("a/b=c:d", True), ("/dev/sda", False), ("/dev/a=b", False), ("x=y", False)],
)
def test_names(name: str, qualified: bool) -> None:
    assert devices_cdi.is_qualified(name) is qualified


def hook(**when: Any) -> dict[str, Any]:
    return {"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": when, "stages": ["prestart", "poststop"]}


@pytest.mark.parametrize(
    ("when", "chosen"),
    [
        ({"always": True}, True),
        ({"always": False}, False),
        ({"commands": ["^/bin/sh$"]}, True),
        ({"commands": ["bash"]}, False),
        ({"annotations": {"^run\\.this$": "^yes$"}}, True),
        ({"annotations": {"^run\\.this$": "^no$"}}, False),
        ({"hasBindMounts": True}, False),
        ({"always": True, "commands": ["bash"]}, False),
    ],
)
def test_hook_conditions(tmp_path: Path, when: dict[str, Any], chosen: bool) -> None:
    (tmp_path / "h.json").write_text(json.dumps(hook(**when)))
    found = hooks_config.select([str(tmp_path)], document(), bind_mounts=False)
    expected = {"prestart": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]}
    assert found == (expected if chosen else {})


def test_a_later_directory_replaces_a_hook(tmp_path: Path) -> None:
    for name, always in (("one", True), ("two", False)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "h.json").write_text(json.dumps(hook(always=always)))
    directories = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert hooks_config.select(directories, document(), bind_mounts=False) == {}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"version": "0.1.0"}',
        json.dumps({**hook(always=True), "stages": ["never"]}),
        json.dumps({**hook(always=True), "hook": {"path": "/nope"}}),
        json.dumps({**hook(commands=["("])}),
    ],
)
def test_malformed_hook(tmp_path: Path, content: str) -> None:
    (tmp_path / "h.json").write_text(content)
    with pytest.raises(InvalidArgument, match="hook"):
        hooks_config.select([str(tmp_path)], document(), bind_mounts=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        (
            "a: 1\nb: [x, 'y z', \"q\\n\"]\nc: {d: true, e: null}\n",
            {"a": 1, "b": ["x", "y z", "q\n"], "c": {"d": True, "e": None}},
        ),
        ("- a\n- b: 1\n  c: 2\n-\n  - d\n", ["a", {"b": 1, "c": 2}, ["d"]]),
        ("a:\n- 1\n- 2\nb:\n  c: x # no\n", {"a": [1, 2], "b": {"c": "x"}}),
        ("a: |\n  one\n    two\n  three\nb: >-\n  x\n  y\n", {"a": "one\n  two\nthree\n", "b": "x y"}),
        (
            "mode: 0644\nhex: 0x1f\nf: 1.5\nv: 0.5.0\ns: '1'\nurl: http://x:80/\n",
            {"mode": 420, "hex": 31, "f": 1.5, "v": "0.5.0", "s": "1", "url": "http://x:80/"},
        ),
        ('"quoted key": it\'s\n', {"quoted key": "it's"}),
        ("a:\nb: ~\n", {"a": None, "b": None}),
    ],
)
def test_yaml(text: str, value: Any) -> None:
    assert yamltext.loads(text) == value


@pytest.mark.parametrize(
    "text", ["a: &x 1", "a: [1", "a: 'x", "a: 1\n   b: 2\n", "a: {b 1}", "\ta: 1", "a: !!str 1", "a: 1\n- b\n"]
)
def test_not_yaml(text: str) -> None:
    with pytest.raises(Corrupt):
        yamltext.loads(text)


@given(st.text(alphabet="ab:- \n[]{}'\"#|,1\t", max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        yamltext.loads(text)
    except Corrupt:
        return


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(alphabet="abc x:#-'", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_json_is_yaml(value: Any) -> None:
    assert yamltext.loads(json.dumps({"top": value})) == {"top": value}
