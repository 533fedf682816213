"""`wharfie completion`: what a shell needs to complete our command line."""

from __future__ import annotations

import click

from cli.group import command


@command(
    "completion",
    examples="""
    wharfie completion bash > /etc/bash_completion.d/wharfie
    wharfie completion zsh > "${fpath[1]}/_wharfie"
    wharfie completion fish > ~/.config/fish/completions/wharfie.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    Names of containers, images and actors come from the daemon, when it answers quickly.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    root = click.get_current_context().find_root().command
    # Not `source`: it runs the shell to check its version, and the script may be meant for another machine.
    script = kind(root, {}, "wharfie", "_WHARFIE_COMPLETE")
    click.echo(script.source_template % script.source_vars())
