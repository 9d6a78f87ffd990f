import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from tune_machine import Machine  # noqa: E402  (needs the line above)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
