"""Meta-learning: parameters, and architectures, that learn a task from a few images."""

from __future__ import annotations

from collections.abc import Callable

from metanas.meta.auto_maml import auto_maml
from metanas.meta.fine_tuning import fine_tuning
from metanas.meta.learner import MetaLearner
from metanas.meta.maml import maml
from metanas.meta.maml_plus_plus import maml_plus_plus
from metanas.meta.protonet import protonet
from metanas.meta.tnas import tnas
from metanas.meta.tnas_plus_plus import tnas_plus_plus

METHODS: dict[str, Callable[..., MetaLearner]] = {
    "tnas": tnas,
    "tnas_plus_plus": tnas_plus_plus,
    "auto_maml": auto_maml,
    "maml": maml,
    "maml_plus_plus": maml_plus_plus,
    "protonet": protonet,
    "fine_tuning": fine_tuning,
}
"""Every method; the key is the name of its file.

Each is made with an image's shape, the ways of its tasks, the number of classes that tasks
are drawn from, and keyword arguments of its own.
"""
