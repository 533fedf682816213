"""`wharfie image referrers`: what refers to an image at its registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.group import command, option
from cli.output import labels_text, print_json, print_table
from cli.settings import Settings, pass_settings
from cli.size import spoken

if TYPE_CHECKING:
    from wharfie.types.pull import Referrer

CREATED = "org.opencontainers.image.created"
"""The annotation that says when a manifest was made (image specification, annotations.md)."""


@command(
    "referrers",
    examples="""
    wharfie image referrers ghcr.io/org/app:1.2
    wharfie image referrers --artifact-type application/spdx+json localhost:5000/app
    wharfie image referrers --json localhost:5000/app@sha256:…
    """,
)
@option("--artifact-type", default="", metavar="TYPE", help="Only those of this type.")
@option("--plain-http", is_flag=True, help="Speak http to hosts that no hosts.toml describes.")
@option("--skip-verify", is_flag=True, help="Believe any certificate of such hosts.")
@click.argument("reference", metavar="REFERENCE")
@pass_settings
def referrers(
    settings: Settings, /, reference: str, *, artifact_type: str, plain_http: bool, skip_verify: bool
) -> None:
    """List what refers to an image at its registry.

    Signatures, attestations and documents, by digest: 'wharfie pull REPOSITORY@DIGEST' fetches one. The registry is
    asked, nothing is fetched, and the image need not be here. Of an index, what refers to the index is listed; for one
    of its manifests, say its digest. Credentials are those of 'wharfie login' and 'docker login'.
    """
    from cli.registrycredentials import credentials_of
    from wharfie.reference import Reference

    host = Reference.parse(reference).host
    found = settings.client().images.referrers(
        reference,
        artifact_type,
        credentials=credentials_of([host]),
        plain_http=plain_http,
        skip_verify=skip_verify,
        timeout_s=settings.wait_s,
    )
    if settings.json:
        print_json(found)
    else:
        print_table(("DIGEST", "ARTIFACT TYPE", "SIZE", "CREATED", "ANNOTATIONS"), map(row_of, found.referrers))


def row_of(referrer: Referrer) -> tuple[str, str, str, str, str]:
    """One line of the table. Pure."""
    annotations = dict(referrer.annotations)
    created = annotations.pop(CREATED, "-")
    size = spoken(referrer.size)
    return referrer.digest, referrer.artifact_type or "-", size, created, labels_text(annotations)
