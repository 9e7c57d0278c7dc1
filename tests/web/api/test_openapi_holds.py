"""What the OpenAPI document says is what happens: schemathesis asks every operation, all checks, sequences too.

With many more cases: make schemas.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests import schemas


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # libraries warn of values that no program sends
@pytest.mark.timeout(300)
def test_every_answer_is_as_the_document_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    found = schemas.run(schemas.make_app(tmp_path), cases=1)
    assert found.failures == {}
    assert len(found.operations) > 35 and found.cases > 1000
    assert not [status for status in found.statuses if status >= 500]
    phases = [f"{name}: success" for name in ("coverage", "fuzzing", "stateful")]
    assert not {*phases} - {*found.phases}
