"""The `firm` command: finds the verb and runs its module; imports nothing that the verb doesn't need."""

import atexit
import gc
import os
import sys
from argparse import ArgumentParser
from importlib import import_module
from typing import NoReturn, TextIO

from scripts.failure import Code, Failure

VERBS = {
    "start": ("scripts.daemon", "the daemon, in the foreground until it is told to stop"),
    "propose": ("scripts.propose", "Operations makes a plan out of candidates; nothing is sent"),
    "approve": ("scripts.approve", "a person approves a plan"),
    "check": ("scripts.check", "dry run: all rules, then the whole plan on a twin of the account; sends nothing"),
    "submit": ("scripts.submit_plan", "put an approved plan into the CEO's inbox"),
    "status": ("scripts.status", "the firm, or one run: phase, legs, what it waits for"),
    "tail": ("scripts.tail_log", "the log, readable"),
    "report": ("scripts.report", "what happened in a run: legs, prices, slippage, times, money"),
    "export": ("scripts.export", "fills, positions, runs: the portfolio database as CSV or JSON lines"),
    "halt": ("scripts.halt", "stop trading: nothing new leaves"),
    "resume": ("scripts.resume", "trade again"),
    "release": ("scripts.release", "let a held run go on"),
    "abort": ("scripts.abort", "end a run: cancel, confirm, verify"),
    "init": ("scripts.init", "make FIRM_HOME and a first configuration"),
    "doctor": ("scripts.doctor", "the pre-trading checklist: config, keys, account, clock, stream, store, limits"),
    "rebuild": ("scripts.rebuild", "make the portfolio database anew from mail and Alpaca; sends nothing"),
    "verify": ("scripts.verify", "check the journal's hash chain"),
    "paper-alpaca": ("scripts.paper_alpaca_server", "a local Alpaca to try things out with"),
}
"""Verb -> (module, what it does). A module has `arguments(parser)` and `run(given) -> exit code`."""

COLLECT_AFTER = 100_000
"""Objects; Python's own threshold is 700."""

ENVIRONMENT = """\
environment:
  FIRM_HOME            state: journal, log, lease (default: var/ in the checkout)
  FIRM_CONFIG          folder of the YAML files (default: config/ in the checkout)
  FIRM_STORE_URL       SQLAlchemy URL of the mailroom (default: SQLite in FIRM_HOME)
  APCA_API_KEY_ID, APCA_API_SECRET_KEY, APCA_API_BASE_URL    Alpaca's own names

exit codes: 0 done, 1 something was found, 2 bad input, 3 held, 4 rejected, 5 aborted or expired,
            6 something can't be reached or another daemon holds the account, 7 --timeout ran out"""


class _Parser(ArgumentParser):
    """Says what is wrong with a command line on one line."""

    def error(self, message: str) -> NoReturn:
        raise Failure(Code.BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help")


def main(words: list[str] | None = None) -> int:
    """Run a verb; the exit code is the contract's. Whatever can be expected to go wrong is one line on stderr."""
    if words is None:
        words = sys.argv[1:]
        _be_quick()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode is no reason to fail
    try:
        code = _run(words)
        sys.stdout.flush()
    except Failure as failure:
        _say(sys.stderr, str(failure))
        return failure.code
    except KeyboardInterrupt:
        _say(sys.stderr, "firm: interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output left (`firm tail | head`); keep Python from complaining about it at exit.
        sys.stdout = sys.stderr = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until exit
        return 0
    return code


def _be_quick() -> None:
    """Spare this process what a short command pays for and never gains by: together a fifth of its time.

    Collecting garbage while modules are imported, and again at the end; searching every installed package for plugins
    of pydantic's, which the firm would not want either.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)


def _run(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        _say(sys.stdout if words else sys.stderr, help_text())
        return Code.DONE if words else Code.BAD_INPUT
    if words[0] == "--version":
        from importlib.metadata import version

        _say(sys.stdout, f"firm {version('tradefirm')}")
        return Code.DONE
    if words[0] not in VERBS:
        from departments.office.bad_input import shown, suggestion

        hint = suggestion(words[0], VERBS) or ", see firm --help"
        raise Failure(Code.BAD_INPUT, f"firm: {shown(words[0])} is no verb of this command{hint}")
    module_name, description = VERBS[words[0]]
    parser = _Parser(prog=f"firm {words[0]}", description=f"{description[0].upper()}{description[1:]}.")
    try:
        module = import_module(module_name)
        module.arguments(parser)
        code: int = module.run(parser.parse_args(words[1:]))
    except SystemExit as stop:  # argparse, after --help
        return int(stop.code or 0)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(Code.BAD_INPUT, f"firm {words[0]}: {where}{error.strerror or error}") from None
    return code


def help_text() -> str:
    """What `firm --help` says."""
    width = max(len(verb) for verb in VERBS)
    lines = [
        "usage: firm VERB ...",
        "",
        "A person approves a plan; the firm sells first, proves it, and only then buys.",
        "",
    ]
    lines += [f"  {verb:{width}}  {description}" for verb, (_, description) in VERBS.items()]
    return "\n".join([*lines, "", "firm VERB --help tells more.", "", ENVIRONMENT])


def _say(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        sys.stdout = sys.stderr = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open until exit


if __name__ == "__main__":
    sys.exit(main())
