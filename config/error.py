"""What is wrong with a configuration, said so that the reader can mend it.

ConfigError                one load found one or more problems; `problems` has them all
  Problem                  where (file or flag, section, key), what was expected, what stood there, what to do
"""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake. `where` is a file, a flag or an environment variable; `key` is `section.key`, or empty."""

    where: str
    key: str = ""
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {bracketed(self.key)}: {self.text}" if self.key else f"{self.where}: {self.text}"


class BadValue(ValueError):
    """A value is not of its kind; the text is the remedy and completes a Problem's sentence."""


class ConfigError(Exception):
    """The configuration cannot be used; the text has one line for each problem.

    `warnings` has what would have been warned of, had the configuration been usable.
    """

    def __init__(self, *problems: Problem, warnings: tuple[str, ...] = ()) -> None:
        self.problems = problems
        self.warnings = warnings
        super().__init__("\n".join(str(problem) for problem in problems))


def bracketed(key: str) -> str:
    """Return a key as one finds it in a file: `router.mode` is `[router] mode`, `root` is `root`."""
    section, dot, name = key.partition(".")
    if not dot:
        return key
    return f'[{section}] "{name}"' if "." in name else f"[{section}] {name}"


def shown(value: object) -> str:
    """Return a value of a file as a short TOML-like text with its type, for an error's sentence."""
    if isinstance(value, bool):
        return f"{str(value).lower()} (a boolean)"
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "..."
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '" (a string)'
    if isinstance(value, int):
        return f"{value} (an integer)"
    if isinstance(value, float):
        return f"{value} (a float)"
    if isinstance(value, (list, tuple)):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return "a table"
    return f"{value} (a {type(value).__name__})"
