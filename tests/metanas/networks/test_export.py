"""Exported files run without metanas and give the same logits."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from metanas.networks.cell_network import cell_network
from metanas.networks.export import CLASSES, check_suffix, export
from metanas.networks.ops import Normalised

EDGES = ("op_0_1", "op_0_2", "op_1_2", "op_0_3", "op_1_3", "op_2_3")
LIVE = ("nor_conv_3x3", "avg_pool_3x3", "skip_connect", "nor_conv_1x1", "none", "nor_conv_3x3")
SHAPE = (3, 11, 8)

READER = """
import sys
for name in ("metanas", "tasks", "metadata_store"):
    sys.modules[name] = None  # importing them fails, also where they are installed
import numpy as np
import onnxruntime, torch
for cell in ("live", "dead"):
    session = onnxruntime.InferenceSession(f"{cell}.onnx")
    program = torch.export.load(f"{cell}.pt2").module()
    for n in (1, 2, 9):
        batch = np.load(f"batch{n}.npy")
        (logits,) = session.run(["logits"], {"images": batch})
        np.save(f"{cell}_onnx{n}.npy", logits)
        np.save(f"{cell}_pt2{n}.npy", program(torch.from_numpy(batch)).detach().numpy())
"""


def trained_network(cell: tuple[str, ...] = LIVE) -> nn.Module:
    """With running statistics that differ from those of a fresh network."""
    choices = dict(zip(EDGES, cell, strict=True))
    network = cell_network(choices, input_shape=SHAPE, n_classes=5, width=4, cells=1)
    module = Normalised(network, [0.4, 0.5, 0.6], [0.2, 0.2, 0.3])
    for _ in range(3):
        module(torch.rand(8, *SHAPE))
    return module.to(memory_format=torch.channels_last)


def test_both_formats_run_without_metanas_on_any_batch(tmp_path: Path) -> None:
    modules = {"live": trained_network(), "dead": trained_network(("none",) * 6)}
    for name, module in modules.items():
        export(module, tmp_path / f"{name}.pt2", SHAPE)
        export(module, tmp_path / f"{name}.onnx", SHAPE)
        module.eval()
    batches = {n: torch.rand(n, *SHAPE) for n in (1, 2, 9)}
    for n, batch in batches.items():
        np.save(tmp_path / f"batch{n}.npy", batch.numpy())
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name, module in modules.items():
        for n, batch in batches.items():
            logits = module(batch).detach().numpy()
            for kind in ("pt2", "onnx"):
                got = np.load(tmp_path / f"{name}_{kind}{n}.npy")
                np.testing.assert_allclose(got, logits, atol=1e-4)


def test_exporting_leaves_the_module_as_it_is_and_no_other_file(tmp_path: Path) -> None:
    module = trained_network().train()
    path = tmp_path / "new" / "network.pt2"
    export(module, path, SHAPE)
    assert module.training
    assert [each.name for each in path.parent.iterdir()] == ["network.pt2"]


def test_a_failed_export_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        export(trained_network(), path, (2, 11, 8))
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["network.pt2"]


@pytest.mark.parametrize("name", ["network.pth", "network", "network.onnx.gz"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.pt2 or \.onnx"):
        check_suffix(tmp_path / name)
    with pytest.raises(ValueError, match=r"ends in \.pt2 or \.onnx"):
        export(nn.Identity(), tmp_path / name, SHAPE)


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_the_file_says_which_class_a_logit_stands_for(suffix: str, tmp_path: Path) -> None:
    classes = ("Gänseblümchen", "rose", "7", "", "tulip, red")
    file = tmp_path / f"network{suffix}"
    export(trained_network(), file, SHAPE, classes=classes)
    if suffix == ".pt2":
        more = {CLASSES: ""}
        torch.export.load(file, extra_files=more)
        text = more[CLASSES]
    else:
        import onnxruntime

        text = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map[CLASSES]
    assert tuple(json.loads(text)) == classes
