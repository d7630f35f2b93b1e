"""`nightjar key`: who signs the releases of this home, and whose signature is asked for."""

from typing import TYPE_CHECKING

import click

from expectations.errors import UserError
from flows.cli.plain_text import echo

if TYPE_CHECKING:
    from tasks.registry.signing import Keys


@click.group(invoke_without_command=True)
@click.pass_context
def key(ctx: click.Context) -> None:
    """Show the public key of this home; `new` makes a pair, `pin` asks for signatures, `sign` signs a release.

    With a private key, every release of this home is signed: its manifest's sha256, its name and its day. Consumers pin
    the public key, here or with `nightjar pull --key`.
    """
    if ctx.invoked_subcommand is None:
        keys = _keys()
        public = keys.public()
        if not public:
            raise UserError(f"no private key in {keys.private_file}; make one: nightjar key new")
        echo(public)


@key.command()
def new() -> None:
    """Make a key pair; every release from now on is signed. Prints the public key, which consumers pin."""
    keys = _keys()
    public = keys.make()
    echo(f"{keys.private_file} signs the releases of this home from now on; only you can read it", err=True)
    echo(public)


@key.command()
@click.argument("public", nargs=-1)
@click.option("--none", "nobody", is_flag=True, help="Ask for no signature any more.")
def pin(public: tuple[str, ...], nobody: bool) -> None:
    """Take only releases that one of these keys has signed; without any, show which those are.

    PUBLIC is what `nightjar key` shows, PEM, or a file with either.
    """
    keys = _keys()
    if public or nobody:
        keys.pin(public)
    for line in keys.pinned():
        echo(line)
    if not keys.pinned():
        echo("no key is pinned: releases need no signature", err=True)


@key.command()
@click.argument("reference")
@click.option("--registry", "url", default="", help="Registry URL. Default: the home's.")
def sign(reference: str, url: str) -> None:
    """Sign a release that is there: a number, @alias or :YYYY-MM-DD."""
    from flows.registry import find_release, open_registry
    from tasks.registry.registry import MODEL
    from tasks.registry.signing import SIGNATURE_TAG
    from tasks.releases.trust import vouched_manifest

    registry, keys = open_registry(url), _keys()
    version = find_release(registry, reference)
    digest = vouched_manifest(version, ())
    signed = keys.signed(MODEL, version.tags)
    if not signed:
        raise UserError(f"no private key in {keys.private_file}; make one: nightjar key new")
    registry.tag(version.number, SIGNATURE_TAG, signed[SIGNATURE_TAG])
    echo(f"{version.name} of {version.day}, manifest sha256 {digest}, is signed by {keys.public()}")


def _keys() -> "Keys":
    from flows.home import home_folder, prepare
    from tasks.registry.signing import Keys

    prepare(home_folder())
    return Keys(home_folder())
