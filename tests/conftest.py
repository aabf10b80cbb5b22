"""What every test gets: Hypothesis without a stop-watch (a busy machine is no finding), and the same cases in CI."""

import os

from hypothesis import settings

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
