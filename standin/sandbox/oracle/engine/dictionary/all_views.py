"""Every view of a database: dictionary, V$ and LogMiner's."""

from __future__ import annotations

from sandbox.oracle.engine.dictionary import container_views, fixed_views, log_views, table_views
from sandbox.oracle.engine.logminer import contents
from sandbox.oracle.engine.state.context import Instance
from sandbox.oracle.engine.state.views import FixedView, aliased, view


def all_views(database: Instance) -> list[FixedView]:
    """All views of a database."""
    found = [view("DUAL", "DUMMY:1", lambda env: [("X",)], free=True)]
    found.extend(table_views.views(database))
    found.extend([container_views.across(each) for each in found if each.name.startswith("DBA_")])
    found.extend(aliased(fixed_views.views(database)))
    found.extend(aliased(log_views.views(database)))
    found.extend(aliased(container_views.views(database)))
    found.extend(contents.views(database))
    return found
