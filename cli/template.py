"""Lines of a user's own making: `{{.name}} {{.size}}`, filled from the fields that `--json` prints. Pure."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLACE = re.compile(r"\{\{\s*(json\s+)?\.([\w.]*)\s*\}\}")
_ESCAPES = {r"\t": "\t", r"\n": "\n"}


def filled(template: str, row: Mapping[str, Any]) -> str:
    """The template with a row's values; `{{json .}}` is all of it.

    Raises:
        ValueError: a field that the row does not have; the sentence names those that it has.
    """

    def value(match: re.Match[str]) -> str:
        found: Any = row
        for name in match[2].split(".") if match[2] else []:
            known = {key.lower().replace("_", ""): key for key in found} if isinstance(found, dict) else {}
            key = known.get(name.lower().replace("_", ""))
            if key is None:
                raise ValueError(f"there is no field '.{match[2]}'; there are {', '.join(sorted(row))}")
            found = found[key]
        return json.dumps(found, ensure_ascii=False) if match[1] or not isinstance(found, (str, int)) else str(found)

    for short, long in _ESCAPES.items():
        template = template.replace(short, long)
    return _PLACE.sub(value, template)
