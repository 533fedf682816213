"""What a client tells the daemon of registries: who to be there.

The daemon keeps no credentials. They travel in the body of the one request that needs them and are forgotten with it;
`repr` does not show them, so that no log, crash report or dead letter can.
"""

from __future__ import annotations

from wharfie.types.base import Message


class Credential(Message, frozen=True, kw_only=True):
    """Who to be at one registry; all empty is nobody.

    Attributes:
        username: with `password`, for basic authentication and for token servers.
        password: also a personal access token.
        identity_token: an OAuth2 refresh token that a token server gave at login; goes before the password.
        bearer: a token that the registry itself takes, sent as it is; goes before both.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    bearer: str = ""

    def __repr__(self) -> str:
        return f"Credential(username={self.username!r}, …)"

    __str__ = __repr__


Credentials = dict[str, Credential]
"""By host as it stands in a reference: `docker.io`, `localhost:5000`."""
