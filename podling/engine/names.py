"""Names of containers and volumes: what is allowed, and one for a container that was given none."""

from __future__ import annotations

import os

from podling.errors import InvalidArgument

_QUALITIES = (
    "able agile amber apt avid bold brave bright brisk calm candid cheery clever cosy crisp curious daring deft eager "
    "early easy fair fast fine firm fond frank free fresh gentle glad golden grand happy hardy honest humble ideal "
    "jolly keen kind lively loyal lucid lucky mellow merry modest neat nimble noble patient plain polite prime proud "
    "quick quiet rapid ready robust rosy royal serene sharp silent silver smart smooth snug solid spry stable steady "
    "sturdy subtle sunny swift tame tender tidy trusty upbeat useful valiant vivid warm wise witty worthy young zesty"
)
_SWIMMERS = (
    "beluga bonito bream capelin carp catfish char chub clam cod conger cowrie crab cuttlefish dab dace dolphin dory "
    "dugong eel flounder garfish goby grayling grouper gudgeon guppy gurnard haddock hake halibut herring hoki koi "
    "krill lamprey limpet ling lobster loach mackerel manatee manta marlin minke minnow mullet mussel narwhal nautilus "
    "octopus orca otter oyster perch pike pilchard plaice pollock porpoise prawn puffin ray remora roach rudd salmon "
    "sardine saury scallop seahorse seal shark shrimp skate smelt sole sprat squid sturgeon tench tetra trout tuna "
    "turbot turtle urchin walrus whale whelk whiting wrasse zander"
)


def valid_name(name: str) -> bool:
    """Tell whether a name is of letters, digits, `_`, `.` and `-`, beginning with a letter or digit."""
    rest = name.replace("_", "").replace(".", "").replace("-", "")
    return bool(name) and name.isascii() and name[0].isalnum() and rest.isalnum()


def check(name: str) -> None:
    """Raise InvalidArgument for a name that no container can have."""
    if not valid_name(name):
        raise InvalidArgument(
            "running container create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument"
        )


def random_name() -> str:
    """Return a name: a quality and somebody who swims. Whoever takes it finds out whether it is taken."""
    qualities, swimmers = _QUALITIES.split(), _SWIMMERS.split()
    number, quality = divmod(int.from_bytes(os.urandom(4), "little"), len(qualities))
    return f"{qualities[quality]}_{swimmers[number % len(swimmers)]}"
