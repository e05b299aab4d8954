"""`podling pull`: images from registries; each ID alone on stdout."""

from __future__ import annotations

import sys

from podling.cli.common_flags import PLATFORM, REGISTRY
from podling.cli.flags import Flag
from podling.cli.verb import Invocation, Verb, at_least
from podling.errors import InvalidArgument

VERB = Verb(
    "Pull an image from a registry",
    usage="[options] IMAGE [IMAGE...]",
    description="Pulls an image from a registry and stores it locally.\n\nAn image can be pulled by tag or digest. If "
    "a tag is not specified, the image with the 'latest' tag is pulled.",
    examples=("imageName", "fedora:latest"),
    flags=(
        Flag(
            "all-tags",
            "bool",
            "All tagged images in the repository will be pulled",
            short="a",
            refused="name the tags, which a pull takes any number of",
            accepted=False,
        ),
        *PLATFORM,
        Flag("policy", "string", 'Pull image policy ("always"|"missing"|"never"|"newer")', default="always"),
        Flag("quiet", "bool", "Suppress output information when pulling images", short="q"),
        *REGISTRY,
    ),
    arguments=at_least(1),
)
_REQUEST = ("arch", "authfile", "cert-dir", "creds", "os", "platform", "retry", "tls-verify", "variant")


def run(call: Invocation) -> int:
    """Pull the images and print their IDs."""
    from podling.cli import progress
    from podling.engine import images
    from podling.image.request import PullRequest

    flags = call.flags
    if flags.changed("platform") and (flags.changed("arch") or flags.changed("os")):
        raise InvalidArgument("--platform option can not be specified with --arch or --os")
    values = {name.replace("-", "_"): flags.given[name] for name in _REQUEST if flags.changed(name)}
    request = PullRequest(**values, environment=call.environment)
    for name in call.arguments:
        report = progress.choose(quiet=flags.boolean("quiet"))
        try:
            image = images.pull(call.settings, name, request, report, policy=flags.text("policy"))
        finally:
            if isinstance(report, progress.Bars):
                report.close()
        sys.stdout.write(image.id + "\n")
        sys.stdout.flush()
    return 0
