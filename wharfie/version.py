"""The version of library and daemon; the revision is filled in by whoever builds a release."""

from __future__ import annotations

__version__ = "0.1.0"
REVISION = ""
