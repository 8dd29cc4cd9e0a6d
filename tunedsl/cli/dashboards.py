"""The command that shows the runs of a store in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from tunedsl.base.verbs import verb
from tunedsl.cli.files import import_file
from tunedsl.cli.group import cli, files
from tunedsl.runs.beside import PORT
from tunedsl.runs.locations import STORE


@cli.command("dashboard", short_help="Show the runs of a store in a browser.")
@click.argument("store", default=STORE, shell_complete=files)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 for a free one.")
@click.option(
    "--token",
    envvar="TUNEDSL_DASHBOARD_TOKEN",
    help="The secret that readers must know; needed for a host that other machines can reach.",
)
@click.option("--read-only", is_flag=True, help="Nothing can be changed from the page.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name of this dashboard.")
@click.option(
    "--file",
    "sources",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file that defines policies of your own; it is imported.",
)
@click.option("--socket", "descriptor", type=int, hidden=True)
def _dashboard(
    store: str,
    host: str,
    port: int,
    token: str | None,
    read_only: bool,
    hosts: tuple[str, ...],
    sources: tuple[Path, ...],
    descriptor: int | None,
) -> None:
    """Show the runs of STORE in a browser, live: a folder, an address, or one experiment. Ctrl+C ends it, not the runs.

    Without --host, only this machine can open the page.
    """
    for file in sources:
        import_file(file)
    verb("serve_dashboard")(store, host, port, token, read_only, hosts, descriptor=descriptor)
