"""`podling network create`."""

from __future__ import annotations

import sys

from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, at_most

VERB = Verb(
    "Create networks for containers",
    usage="[options] [NAME]",
    examples=("podling1", "--subnet 10.11.0.0/24 --label a=b podling1"),
    flags=(
        Flag("disable-dns", "bool", "disable name resolution"),
        Flag("dns", "slice", "DNS servers this network will use"),
        Flag("driver", "string", "driver to manage the network", short="d", default="bridge"),
        Flag("gateway", "slice", "IPv4 or IPv6 gateway for the subnet"),
        Flag("ignore", "bool", "Don't fail if network already exists"),
        Flag("interface-name", "string", "interface name which is used by the driver"),
        Flag("internal", "bool", "restrict external access from this network"),
        Flag("ip-range", "array", "allocate container IP from range"),
        Flag("ipam-driver", "string", "IP Address Management Driver"),
        Flag("ipv6", "bool", "enable IPv6 networking"),
        Flag("label", "array", "set metadata on a network"),
        Flag("opt", "array", "Set driver specific options", short="o"),
        Flag("route", "array", "static routes"),
        Flag("subnet", "array", "subnets in CIDR format"),
    ),
    arguments=at_most(1),
)


def run(call: Invocation) -> int:
    """Create the network and print its name."""
    from podling.engine import networks

    given = {name.replace("-", "_"): value for name, value in call.flags.given.items()}
    options = networks.NetworkCreateOptions(**given, name="".join(call.arguments))
    sys.stdout.write(networks.create_network(call.settings, options)["name"] + "\n")
    return 0
