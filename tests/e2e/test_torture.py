"""Two doors, three processors, two engage workers and two sinks, all of them killed, paused and cut off on the way."""

import os
from pathlib import Path

import pytest

from tests.torture.run import torture

SECONDS = float(os.environ.get("TILLSTREAM_TORTURE_SECONDS", "20"))
SEED = int(os.environ.get("TILLSTREAM_TORTURE_SEED", "1"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 900)
async def test_no_row_profile_or_mail_is_wrong_whatever_dies(tmp_path: Path) -> None:
    report = await torture(tmp_path, SECONDS, SEED)
    assert not report.wrong, report
    assert report.restarts >= SECONDS / 20
