"""An empty MLflow database, made once and copied: making one takes seconds."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from metanas.importers.mlflow_client import connected


def copy_to(folder: Path) -> str:
    """Puts an empty database into a folder, and gives its URI."""
    shutil.copy(template(), folder / "mlflow.db")
    return f"sqlite:///{folder / 'mlflow.db'}"


@lru_cache(maxsize=1)
def template() -> Path:
    """The database to copy."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "template.db"
    with connected(f"sqlite:///{path}", raising=OSError, create=True):
        return path
