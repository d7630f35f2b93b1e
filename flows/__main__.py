"""The `nightjar` command: one table of commands, each imported when it is called, so that `--help` is quick."""

import gc
import importlib
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import click

COMMANDS = {
    # name: (module:function, help)
    "run": ("flows.cli.run:run", "Run one whole night: log to release."),
    "inspect": ("flows.cli.inspect:inspect", "What a log is taken for, and a config for it."),
    "backfill": ("flows.cli.backfill:backfill", "Many nights: run a range of days; list, status, resume, cancel."),
    "grid": ("flows.cli.grid:grid", "Judge configurations of the night against each other; list, show."),
    "up": ("flows.cli.service:up", "Start the service: schedule, UI, registry, workers."),
    "down": ("flows.cli.service:down", "End the service."),
    "status": ("flows.cli.service:status", "The service, its schedule, last and next night."),
    "logs": ("flows.cli.service:logs", "What the service's processes say."),
    "pull": ("flows.cli.pull:pull", "Pull a release, or parts of it, into a folder."),
    "key": ("flows.cli.key:key", "Who signs releases here, and whose signature is asked for."),
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
    "quarantine": ("flows.cli.quarantine:quarantine", "What failed its audit: list, show, release."),
    "gc": ("flows.cli.gc:gc", "Find (and delete) artifacts that nothing needs."),
    "home": ("flows.cli.home:home", "The home: its folder, its lake, its registry; choose others."),
    "doctor": ("flows.cli.doctor:doctor", "Check this machine; each failure with its remedy."),
}


class Table(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        if ctx.resilient_parsing:  # a shell completes names
            return click.Command(cmd_name, short_help=COMMANDS[cmd_name][1])
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


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
    """Run the command line and leave with its exit code."""
    # Libraries make a million objects that stay while they are imported; looking through them every 700 new ones is a
    # tenth of that time.
    gc.set_threshold(100_000, 50, 50)
    _exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; errors end as one message on stderr.

    Returns:
        The exit code: 0, 2 for the user's mistake, 1 for a failure, 130 for an interruption.
    """
    from expectations.errors import Failure, UserError

    debug = "--debug" in arguments
    try:
        known = [a for a in arguments if a != "--debug"]
        return int(cli.main(known, prog_name="nightjar", standalone_mode=False) or 0)
    except (UserError, Failure) as error:
        return _print_error(str(error), 2 if isinstance(error, UserError) else 1, error, debug)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _print_error("interrupted; what was published stands, the same command continues", 130, None, debug)
    except Exception as error:
        return _print_error(_in_words(error), 1, error, debug)


def _in_words(error: Exception) -> str:
    from flows.home import home_folder
    from flows.outages import in_our_words

    if told := in_our_words(error, home_folder()):
        return str(told)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'file system'}: {error.strerror} (--debug shows where)"
    return f"unexpected {type(error).__name__}: {error} (--debug shows where)"


def _print_error(message: str, code: int, error: BaseException | None, debug: bool) -> int:
    """Print what went wrong, and give back the exit code."""
    if debug and error is not None:
        import traceback

        traceback.print_exception(error)
    from flows.cli.plain_text import echo, visible

    first, *rest = message.splitlines() or [""]
    click.secho(f"error: {visible(first)}", fg="red", err=True)
    for line in rest:
        echo(line, err=True)
    return code


def _exit(code: int) -> None:
    """Leave at once with all output written: threads that idle or hang in a library would only delay the end."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if asking := sys.modules.get("flows.service.asking"):
        asking.leave_behind()
    if "prefect" in sys.modules or threading.active_count() > 1:
        from flows.python_internals import leave_without_waiting

        leave_without_waiting(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
