"""Ids of transmissions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sinks.ccb_payment_upload.receipts.store import transmission_id

IDS = st.lists(st.text(min_size=1, max_size=36), min_size=1, max_size=5, unique=True)


@given(source=st.text(min_size=1, max_size=30), ids=IDS, data=st.data())
def test_transmission_id_depends_on_source_and_receipts_only(
    source: str, ids: list[str], data: st.DataObject
) -> None:
    """The same receipts give the same id whatever their order, other receipts another, all 29 characters."""
    shuffled = data.draw(st.permutations(ids))
    assert transmission_id(source, ids) == transmission_id(source, shuffled)
    assert len(transmission_id(source, ids)) == 29
    assert transmission_id(source, ids) != transmission_id(source, [*ids, "one more" * 5])
    assert transmission_id(source, ids) != transmission_id(source + "x", ids)
