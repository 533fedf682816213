"""`wharfie image`: the noun; its verbs are in modules of their own, so that one at the top loads no other."""

from __future__ import annotations

import click

from cli.convert import convert
from cli.export import export
from cli.group import Noun
from cli.imagefacts import check, history, inspect, usage
from cli.imagemount import mount, unmount
from cli.imagenames import label, ls, rm, tag, unpack
from cli.imageprune import prune
from cli.load import load
from cli.pull import pull
from cli.push import push
from cli.referrers import referrers


@click.group("image", cls=Noun)
def image() -> None:
    """Images: names for content."""


for _verb in (
    ls,
    inspect,
    history,
    check,
    usage,
    pull,
    push,
    referrers,
    load,
    export,
    convert,
    tag,
    rm,
    prune,
    label,
    unpack,
    mount,
    unmount,
):
    image.add_command(_verb)
