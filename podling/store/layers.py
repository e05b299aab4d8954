"""Unpacked layers.

    layers/SHORT/           SHORT: the first 20 hex digits of the chain ID, because mount(2) takes one page of options
      diff/                 the layer's files, in overlayfs's form: whiteouts are character devices 0:0
      layer.json            the whole chain ID, the diff ID, the size of the archive

A layer exists once its directory has been renamed into place; it is never changed afterwards.
"""

from __future__ import annotations

import os

from podling.errors import Corrupt
from podling.linux import files
from podling.oci import jsontext
from podling.records import Record

_SHORT_LENGTH = 20


class Layer(Record):
    """What layer.json says. `size` is that of the uncompressed archive, in bytes."""

    chain_id: str
    diff_id: str
    size: int


def short(chain_id: str) -> str:
    """Return a layer's directory name."""
    return chain_id[7 : 7 + _SHORT_LENGTH]


def diff_directory(root: str, chain_id: str) -> str:
    """Return where a layer's files are."""
    return f"{root}/layers/{short(chain_id)}/diff"


def find(root: str, chain_id: str) -> Layer | None:
    """Return an existing layer. Raise Corrupt where its place is taken by another chain."""
    path = f"{root}/layers/{short(chain_id)}/layer.json"
    try:
        with open(path, "rb") as file:
            layer = Layer.from_json(jsontext.loads(file.read()))
    except FileNotFoundError:
        return None
    if layer.chain_id != chain_id:
        raise Corrupt(f'layer "{path}" is {layer.chain_id}, and not {chain_id}')
    return layer


def describe(directory: str, layer: Layer) -> None:
    """Write layer.json of a layer in the making; the caller syncs."""
    files.write_atomically(f"{directory}/layer.json", jsontext.dumps(layer.to_json()), durable=False)


def put(root: str, directory: str, chain_id: str) -> bool:
    """Rename a finished layer into place; tell whether it was needed. The store's lock is held."""
    if find(root, chain_id) is not None:
        return False
    os.makedirs(f"{root}/layers", mode=0o700, exist_ok=True)
    os.rename(directory, f"{root}/layers/{short(chain_id)}")
    return True


def listed(root: str) -> list[str]:
    """Return the directory names of all layers."""
    try:
        return os.listdir(f"{root}/layers")
    except FileNotFoundError:
        return []
