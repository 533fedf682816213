"""All registrations of a daemon, in the order in which they came; a faulty one is refused when it comes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actors.plugins.registration import EVERYTHING, Registration, canonical
from wharfie.errors import AlreadyExists, InvalidArgument
from wharfie.types.introspection import Plugin


class Registry:
    """The registrations, and records of additions that could not even be read (`failures`)."""

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._by_uri: dict[str, Registration] = {}
        self.failures: list[Plugin] = []
        for registration in registrations:
            self.register(registration)

    def register(self, registration: Registration) -> None:
        """Add a plugin.

        Raises:
            InvalidArgument: no type, id or worker; it requires its own type; "*" beside other requirements.
            AlreadyExists: its type and id are taken.
        """
        uri = registration.uri
        for field in ("type", "id", "worker"):
            if not getattr(registration, field):
                raise InvalidArgument(f"plugin '{uri}' has no {field}; give it", details={"field": field})
        if registration.type in registration.requires:
            raise InvalidArgument(
                f"plugin '{uri}' requires its own type '{registration.type}'; take that out",
                details={"field": "requires"},
            )
        if EVERYTHING in registration.requires and len(registration.requires) > 1:
            raise InvalidArgument(
                f"plugin '{uri}' requires '*' and more; '*' stands alone", details={"field": "requires"}
            )
        key = canonical(uri)
        if key in self._by_uri:
            raise AlreadyExists(f"plugin '{uri}' is registered already; take another id", details={"uri": uri})
        self._by_uri[key] = registration

    def find(self, uri: str) -> Registration | None:
        """The registration of a full id, in any of its forms."""
        return self._by_uri.get(canonical(uri))

    def of_type(self, kind: str) -> list[Registration]:
        """All registrations of a type."""
        return [registration for registration in self if registration.type == kind]

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._by_uri.values())

    def __len__(self) -> int:
        return len(self._by_uri)
