"""The `nightjar` command: one table of commands, each imported when it is called, so that `--help` is quick."""

import gc
import importlib
import os
import sys
from typing import Any

import click

COMMANDS = {
    # name: (module:function, help)
    "run": ("flows.cli.run:run", "Run one whole night: log to release."),
    "backfill": ("flows.cli.backfill:backfill", "Many nights: run a range of days; list, status, resume, cancel."),
    "grid": ("flows.cli.grid:grid", "Judge configurations of the night against each other; list, show."),
    "up": ("flows.cli.service:up", "Start the service: schedule, UI, registry, workers."),
    "down": ("flows.cli.service:down", "End the service."),
    "status": ("flows.cli.service:status", "The service, its schedule, last and next night."),
    "logs": ("flows.cli.service:logs", "What the service's processes say."),
    "pull": ("flows.cli.pull:pull", "Pull a release, or parts of it, into a folder."),
    "recommend": ("flows.cli.pull:recommend", "What a release recommends to a user or a history, and why."),
    "similar": ("flows.cli.pull:similar", "The items nearest to an item."),
    "explore": ("flows.cli.explore:explore", "Look at releases in the browser."),
    "index": ("flows.cli.index:index", "New items between nights: index add."),
    "promote": ("flows.cli.release:promote", "Make a release the champion."),
    "rollback": ("flows.cli.release:rollback", "Make an earlier release the champion again."),
    "history": ("flows.cli.release:history", "Who made which release the champion, when and why."),
    "compare": ("flows.cli.release:compare", "Two releases: figures, segments, lists, files."),
    "models": ("flows.cli.models:models", "The models of the catalogue, and their settings."),
    "explain": ("flows.cli.explain:explain", "Why each stage ran, is cached, or would run."),
    "show": ("flows.cli.datasets:show", "A dataset: schema, rows, lineage, audit."),
    "export": ("flows.cli.datasets:export", "Write a dataset to a CSV or Parquet file."),
    "quarantine": ("flows.cli.care:quarantine", "What failed its audit: list, show, release."),
    "gc": ("flows.cli.care:gc", "Find (and delete) artifacts that nothing needs."),
    "doctor": ("flows.cli.doctor:doctor", "Check this machine; each failure with its remedy."),
}


class Table(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if ctx.resilient_parsing or _asks_for_table():
            return click.Command(cmd_name, short_help=COMMANDS[cmd_name][1])
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


def _asks_for_table() -> bool:
    """Whether the command line is `nightjar`, `nightjar --help`: lists commands, runs none."""
    return all(a.startswith("-") for a in sys.argv[1:])


@click.group(cls=Table, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="nightjar")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Nightjar turns logs of who watched what into a tested, versioned recommender, every night.

    Everything it writes is below NIGHTJAR_HOME (default: .nightjar in this folder).
    """
    ctx.obj = {"debug": debug}


def main() -> None:
    """Run the command line; errors end as one message and an exit code: 2 the user's mistake, 1 a failure."""
    from expectations.errors import Failure, UserError

    # Libraries make a million objects that stay while they are imported; looking through them every 700 new ones is a
    # tenth of that time.
    gc.set_threshold(100_000, 50, 50)
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        _exit(cli.main(arguments, prog_name="nightjar", standalone_mode=False) or 0)
    except (UserError, Failure) as error:
        _fail(str(error), 2 if isinstance(error, UserError) else 1, error, debug)
    except click.Abort:
        _fail("interrupted; what was published stands, the same command continues", 130, None, debug)
    except click.ClickException as error:
        error.show()
        _exit(error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted; what was published stands, the same command continues", 130, None, debug)
    except OSError as error:
        _fail(_os_error(error), 1, error, debug)
    except Exception as error:
        _fail(f"unexpected {type(error).__name__}: {error} (--debug shows where)", 1, error, debug)


def _os_error(error: OSError) -> str:
    if error.errno == 28:
        return "the disk is full; free some space (`nightjar gc --delete` helps) and run the same command again"
    return f"{error.filename or 'file system'}: {error.strerror} (--debug shows where)"


def _fail(message: str, code: int, error: BaseException | None, debug: bool) -> None:
    if debug and error is not None:
        import traceback

        traceback.print_exception(error)
    first, *rest = message.splitlines() or [""]
    click.secho(f"error: {first}", fg="red", err=True)
    for line in rest:
        click.echo(line, err=True)
    _exit(code)


def _exit(code: Any) -> None:
    """Leave at once with all output written: idle threads of Prefect and Spark would only delay the end."""
    from contextlib import suppress

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if "prefect" in sys.modules:
        import atexit

        atexit._run_exitfuncs()
        os._exit(int(code))
    sys.exit(int(code))


if __name__ == "__main__":
    main()
