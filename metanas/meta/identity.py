"""What a meta-training is: two with the same identity are one, and go on from each other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from metanas.meta.plan import Plan
from tasks.episodes import Classes


def identity(method: str, plan: Plan, train: Classes, validation: Classes) -> str:
    """Digest of all that decides how a meta-training ends.

    Args:
        method: its name, and all its options, those by default included.
        plan: as it is carried out.
        train: classes that episodes are drawn from.
        validation: others.
    """
    facts = json.dumps([method, asdict(plan), train.digest, validation.digest])
    return hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()
