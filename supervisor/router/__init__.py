"""The router: the child of the supervisor through which every message of the wire passes.

`door` says what may come in, `flights` what is under way and what a death means for it; both are pure. `sockets`
opens and reads the sockets, `loop` is the one loop over them, `audit` writes who did what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.control import Control
    from config.settings import Settings


def main(control: Control, settings: Settings) -> None:
    """The router's process, until the supervisor says stop."""
    from supervisor.router.loop import Router

    Router(control, settings).run()
