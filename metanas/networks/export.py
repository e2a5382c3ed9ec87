"""A network as a file that needs no metanas to run.

``.pt2`` is read with `torch.export.load(file).module()`, ``.onnx`` by any ONNX runtime.
Both take a float batch (n, *input_shape) of any size n >= 1 and give logits (n, classes);
images are in [0, 1] where the network came from `metanas.evaluators.scratch`, which
puts the normalisation inside. Which class a logit stands for is in the file too, as a JSON
list of names: in ``.pt2`` the extra file `CLASSES`, in ``.onnx`` the metadata of that name.
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

INPUT, OUTPUT = "images", "logits"
"""Names of the input and the output in an ONNX file."""


CLASSES = "classes.json"
"""Name of the classes' names in both formats."""


def export(
    module: nn.Module, path: Path, input_shape: Sequence[int], *, classes: Sequence[str] = ()
) -> None:
    """Writes the network in evaluation mode, whole or not at all; the module stays as it is.

    Args:
        path: ends in ``.pt2`` or ``.onnx``; missing folders are made.
        input_shape: of one input, e.g. (channels, height, width).
        classes: names, in the order of the logits.

    Raises:
        ValueError: another suffix.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = copy.deepcopy(module).cpu().to(memory_format=torch.contiguous_format).eval()
    part = part_of(path)
    try:
        named = json.dumps(list(classes), ensure_ascii=False)
        WRITERS[path.suffix](plain, part, torch.zeros(2, *input_shape), named)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """What the file is called while `export` writes it."""
    return path.with_name(f".{os.getpid()}.{path.name}")


def check_suffix(path: Path) -> None:
    """Raises:
    ValueError: `export` knows no format of that suffix.
    """
    if path.suffix not in WRITERS:
        raise ValueError(f"need a file that ends in {' or '.join(WRITERS)}, got {path}")


def _write_pt2(module: nn.Module, path: Path, batch: Tensor, classes: str) -> None:
    torch.export.save(_program(module, batch), path, extra_files={CLASSES: classes})


def _write_onnx(module: nn.Module, path: Path, batch: Tensor, classes: str) -> None:
    with warnings.catch_warnings():
        # The exporter's own use of deprecated functions is not the caller's business.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _program(module, batch),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the ONNX exporter gave no program")
    program.model.metadata_props[CLASSES] = classes
    program.save(str(path), external_data=False)


def _program(module: nn.Module, batch: Tensor) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(
            module, (batch,), dynamic_shapes=({0: torch.export.Dim("n")},), strict=False
        )


WRITERS: Mapping[str, Callable[[nn.Module, Path, Tensor, str], None]] = {
    ".pt2": _write_pt2,
    ".onnx": _write_onnx,
}
"""Formats by suffix."""
