"""`wharfied` as it is, but for its actors: each runs a script of `tests.support.child`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping

import msgspec

from config.settings import Settings
from supervisor import roster
from supervisor.main import main
from supervisor.spec import Tree

_real_tree = roster.tree


def _scripted_tree(settings: Settings, requires: Mapping[str, tuple[str, ...]]) -> Tree:
    tree = _real_tree(settings, requires)
    scripts = json.loads(os.environ["WHARFIE_TEST_SCRIPTS"])
    children = tuple(
        msgspec.structs.replace(
            child,
            start="tests.support.child:main",
            depends_on=tuple(need for need in child.depends_on if need in scripts),
        )
        for child in tree.children
        if child.id in scripts
    )
    return msgspec.structs.replace(tree, children=children)


if __name__ == "__main__":
    roster.tree = _scripted_tree
    sys.exit(main())
