"""Every view of a database: dictionary, V$ and LogMiner's."""

from __future__ import annotations

from sandbox.oracle.engine.dictionary import (
    container_views,
    fixed_views,
    log_views,
    object_views,
    rights_views,
    table_views,
)
from sandbox.oracle.engine.logminer import contents
from sandbox.oracle.engine.state.views import FixedView, aliased, columns_of, declared


def all_views() -> list[FixedView]:
    """All views of a database."""
    found = [FixedView("DUAL", columns_of("DUMMY:1"), lambda env: [("X",)], free=True)]
    found.extend(declared(table_views))
    found.extend(declared(object_views))
    found.extend(declared(rights_views))
    found.extend([container_views.across(each) for each in found if each.name.startswith("DBA_")])
    found.extend(aliased(declared(fixed_views)))
    found.extend(aliased(declared(log_views)))
    found.extend(aliased(declared(container_views)))
    found.extend(contents.views())
    return found
