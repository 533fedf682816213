"""`wharfie login` and `logout`: who the user is at a registry, checked there and kept as docker keeps it.

The daemon has no part in this: credentials are the user's, and travel in the requests that need them.
"""

from __future__ import annotations

import sys

import click

from cli.group import command, option
from cli.output import print_json
from cli.settings import Settings, pass_settings

host_argument = click.argument("host", default="docker.io", metavar="[HOST]")


@command(
    "login",
    examples="""
    wharfie login registry.example -u me
    wharfie login registry.example -u me --password-stdin < secret
    """,
)
@option("-u", "--username", default="", metavar="NAME", help="[default: asked for]")
@option("--password-stdin", is_flag=True, help="Read the password from standard input, up to its last line's end.")
@option("--hosts-dir", default="", metavar="DIR", help="Directories of hosts.toml. [default: the daemon's default]")
@option("--plain-http", is_flag=True, help="Speak http to the registry.")
@option("--skip-verify", is_flag=True, help="Believe any certificate.")
@host_argument
@pass_settings
def login(
    settings: Settings,
    /,
    host: str,
    *,
    username: str,
    password_stdin: bool,
    hosts_dir: str,
    plain_http: bool,
    skip_verify: bool,
) -> None:
    """Log in to a registry.

    The password, or the token that the registry gives for it, goes to the credential helper that
    ~/.docker/config.json names, or into that file. DOCKER_CONFIG and REGISTRY_AUTH_FILE name others.
    """
    from actors.transfer.registry.client import Registry
    from config.settings import Transfer
    from wharfie import credentials
    from wharfie.types.registry import Credential
    from wharfie.version import __version__

    host = _host(host)
    path = _file()
    credential = Credential(username=username or _asked("Username", hide=False), password=_password(password_stdin))
    with Registry(
        hosts_dir or Transfer().hosts_dir,
        {host: credential},
        f"wharfie/{__version__}",
        plain_http=plain_http,
        skip_verify=skip_verify,
    ) as registry:
        token = registry.login(host)
    if token:
        credential = Credential(username=credential.username, identity_token=token)
    kept = credentials.store(path, host, credential)
    if settings.json:
        print_json({"host": host, "username": credential.username, "kept": kept})
    else:
        click.echo(f"logged in to {host} as {credential.username}; kept in {kept}")


@command(
    "logout",
    examples="""
    wharfie logout registry.example
    """,
)
@host_argument
@pass_settings
def logout(settings: Settings, /, host: str) -> None:
    """Forget the credentials of a registry."""
    from wharfie import credentials, errors

    host = _host(host)
    if not credentials.erase(_file(), host):
        raise errors.NotFound(f"no credentials of '{host}' in {_file()}", details={"host": host})
    if settings.json:
        print_json({"host": host})
    else:
        click.echo(f"logged out of {host}")


def _host(text: str) -> str:
    """A registry's host from what people write for it."""
    from wharfie.reference import Reference

    name = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    if not name or "/" in name:
        raise click.UsageError(f"'{text}' is no host; write it as registry.example or registry.example:5000.")
    if "." in name or ":" in name or name == "localhost":
        return Reference.parse(f"{name}/x").host
    raise click.UsageError(f"'{text}' is no host of a registry: in references it would be a repository.")


def _file() -> str:
    from wharfie import credentials

    path = credentials.login_file()
    if not path:
        raise click.UsageError(
            "Neither HOME, DOCKER_CONFIG nor REGISTRY_AUTH_FILE is set: nowhere to keep credentials."
        )
    return path


def _password(from_stdin: bool) -> str:
    if not from_stdin:
        return _asked("Password", hide=True)
    text = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not text:
        raise click.UsageError("--password-stdin: there is no password on standard input.")
    return text


def _asked(what: str, *, hide: bool) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} is missing and nobody is there to ask: use --username and --password-stdin.")
    return str(click.prompt(what, hide_input=hide, err=True))
