"""Images on the command line: lists, filters, formats, inspect, and what a run leaves of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.world import World


def test_lists_and_formats(podling: World) -> None:
    header, *rows = podling.check("images").splitlines()
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    (found,) = [row for row in json.loads(podling.check("images", "--format", "json")) if "fedora" in row["Names"][0]]
    assert len(rows) >= 1 and found["RepoTags"] is None and found["Size"] > 0
    short = podling.check("images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "fedora")
    assert short == f"{found['Id'][:12]} {found['Names'][0]}"
    assert podling.check("images", "-q", "--no-trunc", "fedora") == "sha256:" + found["Id"]
    assert podling.check("images", "--noheading", "--filter", "reference=*/nosuch") == ""
    assert podling.check("images", "-q", "--filter", "reference=*fedora*") == found["Id"][:12]


@pytest.mark.parametrize("filters", ["dangling=true", "containers=true", "label=nosuch", "until=2000-01-01T00:00:00Z"])
def test_filters_that_let_nothing_through(podling: World, filters: str) -> None:
    assert podling.check("images", "-q", "--filter", filters) == ""


def test_inspect(podling: World) -> None:
    (found,) = json.loads(podling.check("image", "inspect", "fedora"))
    assert podling.check("inspect", "--type", "image", "-f", "{{.ID}} {{.Os}}", "fedora") == f"{found['Id']} linux"
    assert podling.check("inspect", "-f", "{{json .RootFS.Layers}}", "fedora") == json.dumps(
        found["RootFS"]["Layers"], separators=(",", ":")
    )
    assert podling.run("image", "exists", "fedora").returncode == 0


def test_the_id_alone_is_on_standard_output(world: Callable[..., World]) -> None:
    mine = world()
    done = mine.run("pull", "fedora")
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and len(done.stdout) == 65
    assert "Resolved" in done.stderr and "Copying" in done.stderr
    again = mine.run("pull", "--quiet", "fedora")
    assert (again.stdout, again.stderr) == (done.stdout, "")
    assert mine.run("run", "--rm", "--rmi", "--network", "none", "fedora", "true").returncode == 0
    assert mine.check("images", "-q") == ""


@pytest.mark.skipif(os.environ.get("PODLING") == "podman", reason="the alias is ours")
def test_the_alias_is_podling(podling: World, tmp_path: Path) -> None:
    assert podling.check("system", "alias", "--install", "--directory", str(tmp_path)) == f"{tmp_path}/podman"
    done = subprocess.run(
        [f"{tmp_path}/podman", "images", "-q"], env=podling.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == podling.check("images", "-q")
    podling.check("system", "alias", "--remove", "--directory", str(tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.environ.get("PODLING") == "podman", reason="--timings is ours")
def test_timings_name_the_steps(podling: World) -> None:
    done = podling.run("run", "--rm", "--network", "none", "--timings", "fedora", "true")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1].endswith("ms  total") and "write the bundle" in done.stderr
