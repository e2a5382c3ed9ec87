import numpy as np
import pytest

from metadata_store.errors import StoreError
from metadata_store.records import INT32_MAX
from metadata_store.sql.read import offsets_of


def test_offsets_are_where_the_curves_begin_and_the_last_one_ends():
    offsets = offsets_of(np.array([3, 0, INT32_MAX - 3]))
    assert offsets.tolist() == [0, 3, 3, INT32_MAX]
    assert offsets.dtype == np.int32


def test_more_points_than_a_batch_holds_are_refused():
    with pytest.raises(StoreError, match=r"need at most 2,147,483,647 points.*got 2,147,483,648"):
        offsets_of(np.array([INT32_MAX, 1]))
