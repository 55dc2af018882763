-- Merges the versions of one entity that were loaded into {incoming}: one statement, whatever the size.
-- Lines that begin with two dashes are not sent. `cdc.staging.entity_rows.merge` fills the braces.
--
-- What becomes of a row, by what is staged and what comes. Positions are compared first: a version that is not
-- newer than the staged row changes nothing. "same" and "other" are the values; an absent value is the staged one.
--
-- | staged        | incoming, in order      | entity row          | into the history      | counted |
-- |---------------|-------------------------|---------------------|-----------------------|---------|
-- | nothing       | row                     | the row             | nothing               | 1       |
-- | nothing       | end                     | nothing             | nothing               | 0       |
-- | nothing       | end, ends are kept      | tombstone           | nothing               | 1       |
-- | nothing       | row, other              | the other           | the row               | 2       |
-- | nothing       | row, end                | tombstone           | the row               | 2       |
-- | row           | same                    | position moves on   | nothing               | 0       |
-- | row           | other                   | the other           | the row               | 1       |
-- | row           | absent                  | position moves on   | nothing               | 0       |
-- | row           | end                     | tombstone           | the row               | 1       |
-- | row           | other, row              | the row             | the row, the other    | 2       |
-- | row           | same, other             | the other           | the row               | 1       |
-- | tombstone     | row                     | the row             | the tombstone         | 1       |
-- | tombstone     | end                     | position moves on   | nothing               | 0       |
-- | row           | replayed                | as it was           | nothing               | 0       |
-- | row           | older other             | as it was           | nothing               | 0       |
-- | row           | older end               | as it was           | nothing               | 0       |
-- | tombstone     | older row               | as it was           | nothing               | 0       |
-- | row           | replayed, other         | the other           | the row               | 1       |

with {emptied}

-- 1. Each version that is newer than the staged row, beside it. `first`: the staged row is what it replaces.
compared as (
    select m._row, m._last, m._next_committed_at, {incoming_key}, {resolved},
        m.source_position, m.source_ordinal, m.operation, m.tombstone,
        greatest(m.committed_at, s.committed_at) as committed_at,
        s.staged_seq is not null as known, s.ctid as _old_ctid, {old},
        m._prev_position is null
            or coalesce((m._prev_position, m._prev_ordinal) <= (s.source_position, s.source_ordinal), false)
            as first
    from {incoming} m left join {entity} s on {same_key}
    where s.staged_seq is null
        or (s.source_position, s.source_ordinal) < (m.source_position, m.source_ordinal)
),

-- 2. Those that change nothing: equal to the staged row, or the end of a row that was never staged.
classified as (
    select *, first and case when known then ({new_values}) is not distinct from ({old_values})
        else tombstone and not %(keeps_ends)s end as unchanged
    from compared
),

-- 3. The version that takes the staged row's place: the first one, or the one behind it if that changes nothing.
decided as materialized (
    select *, not unchanged and (first or {skipped_before}) as replaces
    from classified
),

-- 4. Into the history: the staged row if it is replaced, and all but the last of the versions that came.
superseded as (
    insert into {history} ({columns}, {trailing}, superseded_seq, valid_from, valid_to)
    select {replaced}, %(base)s + _row, _old_committed_at, committed_at
    from decided where replaces and known
    union all
    select {columns}, %(system)s, source_position, source_ordinal, operation, committed_at, now(),
        %(rule_set_id)s, %(base)s + _row, tombstone,
        %(base)s + _row + 1, committed_at, greatest(_next_committed_at, committed_at)
    from decided where not _last and not unchanged
),

-- 5. Into the entity table: the last version of a key that has no row.
added as (
    insert into {entity} ({columns}, {trailing})
    select {columns}, %(system)s, source_position, source_ordinal, operation, committed_at, now(),
        %(rule_set_id)s, %(base)s + _row, tombstone
    from decided where _last and not known and not unchanged
),

-- 6. Over the staged row: the last version of a key that has one. An unchanged row keeps all but its position.
replaced as (
    update {entity} mine set {new_from_decided}, source_system = %(system)s,
        source_position = decided.source_position, source_ordinal = decided.source_ordinal,
        operation = case when unchanged then _old_operation else decided.operation end,
        committed_at = case when unchanged then _old_committed_at else decided.committed_at end,
        staged_at = case when unchanged then _old_staged_at else now() end,
        rule_set_id = case when unchanged then _old_rule_set_id else %(rule_set_id)s end,
        staged_seq = case when unchanged then _old_staged_seq else %(base)s + _row end
    from decided where mine.ctid = decided._old_ctid and _last and known
)

-- 7. How many versions there are now, and the greatest number given.
select count(*) filter (where not unchanged),
    max(%(base)s + _row) filter (where _last and not unchanged)
from decided
