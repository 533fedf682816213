"""Typed requests and replies, one module per service; the same for `Client`, `AsyncClient` and the workers."""
