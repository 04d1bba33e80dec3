"""tinyops completion"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion", short_help="Print the shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  tinyops completion bash > ~/.local/share/bash-completion/completions/tinyops
    zsh:   tinyops completion zsh > ~/.zfunc/_tinyops
    fish:  tinyops completion fish > ~/.config/fish/completions/tinyops.fish
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"no completion for {shell}")
    root = context.find_root().command
    click.echo(completion(root, {}, "tinyops", "_TINYOPS_COMPLETE").source())
