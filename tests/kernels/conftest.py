from __future__ import annotations

import pytest

from tests.kernels.harness import Kernels, compile_library

UBSAN = ["-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="session")
def c(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The kernels under UBSan: undefined behaviour ends the process with a message."""
    return Kernels(compile_library(tmp_path_factory.mktemp("kernels"), UBSAN))
