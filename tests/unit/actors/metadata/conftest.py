"""A fresh database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.garbage import World
from tests.support.metadata import Services, open_services, scratch


@pytest.fixture
def directory() -> Iterator[str]:
    with scratch() as path:
        yield path


@pytest.fixture
def services(directory: str) -> Iterator[Services]:
    with open_services(directory) as opened:
        yield opened


@pytest.fixture
def world(services: Services) -> World:
    return World(services)
