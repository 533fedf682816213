"""`wharfie version`: which program talks to which daemon."""

from __future__ import annotations

import sys

from cli.group import command
from cli.output import fields, plain, print_json
from cli.settings import Settings, pass_settings


@command(
    "version",
    examples="""
    wharfie version
    wharfie version --json
    """,
)
@pass_settings
def version(settings: Settings, /) -> int:
    """Show the versions of this program and of the daemon.

    The program's is shown even when no daemon answers; the exit code is then 1.
    """
    from cli.failure import report
    from wharfie import errors
    from wharfie.version import __version__

    try:
        server = settings.client().version()
    except errors.WharfieError as error:
        _show(settings, __version__, None)
        sys.stdout.flush()
        return report(error)
    _show(settings, __version__, plain(server))
    return 0


def _show(settings: Settings, client: str, server: dict[str, str] | None) -> None:
    if settings.json:
        print_json({"client": {"version": client}, "server": server})
        return
    pairs = [("Client", client)]
    if server is not None:
        pairs += [("Server", server["version"]), ("Protocol", server["protocol"])]
        if server["revision"]:
            pairs.append(("Revision", server["revision"]))
    sys.stdout.write(fields(pairs))
