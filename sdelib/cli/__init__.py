"""python -m sdelib train | sample | evaluate | tune | export | bake: models of your own data, and
the book's long computations, from a shell.

Exit status: 0 done; 1 the disk or the device refused, or a package is missing; 2 a wrong argument
or data that cannot be used, answered with what is allowed; 130 stopped by Ctrl-C, answered with
what is kept and how to go on.
"""

from __future__ import annotations

import argparse
import shlex
import sys

import torch

from . import bake, evaluate, export, sample, train, tune

COMMANDS = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "tune": tune,
    "export": export,
    "bake": bake,
}
"""Each has run(args), whose docstring is its help, options(parser), and kept(args): what a run that
was stopped leaves."""


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        plain = action.default in (None, False, True, ())
        return action.help if plain else super()._get_help_string(action)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="python -m sdelib",
        description="Models of your own data, and the book's long computations, from a shell.",
        allow_abbrev=False,
    )
    add = parser.add_subparsers(dest="command", required=True, metavar=" | ".join(COMMANDS))
    parsers = {}
    for name, command in COMMANDS.items():
        says = command.run.__doc__
        parsers[name] = add.add_parser(
            name, help=says, description=says, allow_abbrev=False, formatter_class=_Help
        )
        command.options(parsers[name])
    return parser, parsers


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    parser, parsers = _parser()
    args = parser.parse_args(argv)
    args.command_line = shlex.join(["python", "-m", "sdelib", *argv])
    command = COMMANDS[args.command]
    try:
        command.run(args)
    except ValueError as error:
        parsers[args.command].error(str(error))
    except KeyboardInterrupt:
        return _refused(args, f"stopped: {command.kept(args)}", 130)
    except torch.cuda.OutOfMemoryError as error:
        mend = "give a smaller --batch, or --device cpu"
        return _refused(args, f"the device has too little memory ({error}): {mend}", 1)
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        sizes = {key: getattr(args, key) for key in ("n", "batch") if hasattr(args, key)}
        words = " or ".join(f"a smaller --{key} than {value}" for key, value in sizes.items())
        return _refused(args, f"this machine has too little memory: give {words}", 1)
    except MemoryError as error:
        return _refused(args, f"this machine has too little memory ({error}): give less data", 1)
    except ImportError as error:
        return _refused(args, str(error) if "pip install" in str(error) else _missing(error), 1)
    except OSError as error:
        return _refused(args, str(error), 1)
    return 0


def _missing(error: ImportError) -> str:
    return f'{error.name or error} is not installed: pip install "sdelib[all]"'


def _refused(args: argparse.Namespace, why: str, status: int) -> int:
    print(f"sdelib {args.command}: {why}", file=sys.stderr)
    return status
