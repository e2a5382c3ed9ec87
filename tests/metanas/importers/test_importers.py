from __future__ import annotations

import subprocess
import sys

from metanas.importers import IMPORTERS


def test_each_importer_is_the_public_function_of_the_file_of_its_name() -> None:
    for name, importer in IMPORTERS.items():
        file = name.replace("-", "_")
        assert importer.__module__ == f"metanas.importers.{file}"
        assert importer.__name__ == f"read_{file}"


def test_the_registry_imports_none_of_the_libraries_it_reads_for() -> None:
    heavy = ["mlflow", "nas_bench_graph", "optuna", "sqlalchemy", "torch"]
    code = f"import sys, metanas.importers; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
