import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# What tests of the paper venue share stands in `paper_desk`, beside them.
sys.path.append(str(Path(__file__).parent))

from paper_desk import Desk


@pytest.fixture
def desk() -> Callable[..., Desk]:
    return Desk
