"""The demo, as scripts/demo runs it: it ends well, or is interrupted, and leaves nothing behind either way."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.daemon import ROOT

STORY_LIMIT_S = 100


def start(scratch: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.november"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(scratch: Path) -> list[str]:
    """Processes that still name our scratch folder in their surroundings, and files in it."""
    found = [str(path) for path in scratch.iterdir()]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(scratch).encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_the_demo_tells_its_story_and_leaves_nothing_behind(tmp_path):
    process = start(tmp_path)
    out, err = process.communicate(timeout=STORY_LIMIT_S)

    assert process.returncode == 0, err
    assert "It all went as it should." in out
    for sentence in ("STEP 1: Executing 5 SELL orders", "STEP 2: Executing 11 BUY orders", "margin debt after"):
        assert sentence in out
    assert left_behind(tmp_path) == []


def test_an_interrupted_demo_stops_everything(tmp_path):
    process = start(tmp_path)
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], STORY_LIMIT_S)[0]
    while "2. A person approves" not in process.stdout.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=STORY_LIMIT_S)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert left_behind(tmp_path) == []
