"""The `firm` command as a process of its own."""

import subprocess
import sys

from scripts.firm import COLLECT_AFTER

SAYS = (
    "from scripts.firm import main; main({words}); import gc, os; print(gc.get_threshold()[0], os.environ.get({key!r}))"
)
PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


def said_after(words, argv):
    program = f"import sys; sys.argv = {argv!r}; {SAYS.format(words=words, key=PLUGINS)}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[-1]


def test_a_command_collects_little_garbage_and_looks_for_no_plugins():
    assert said_after("", ["firm", "--help"]) == f"{COLLECT_AFTER} __all__"


def test_whoever_calls_it_from_python_keeps_his_own_settings():
    assert said_after("['--help']", ["firm"]) == "700 None"
