"""Blocks whose local procedure takes arrays and changes tables by FORALL, its COMMIT or ROLLBACK included.

`declare type texts is table of varchar2(30) index by binary_integer; procedure put(a texts) is begin forall i
in 1 .. a.count insert into t values (a(i)); if sql%rowcount <> a.count then raise_application_error(-20001,
'x'); end if; commit; exception when others then rollback; raise; end; begin put(:1); end;`

As in Oracle the whole block is compiled before it runs: a table that is not there, or not granted, is an
ORA-06550 around its error. FORALL stops at the first element that fails; what it changed before stays, unless
the block ends with the error. Nothing else of the language is known.

Source: PL/SQL Language Reference, "FORALL Statement" and "Collection Variables"; PLS-00306, PLS-00418,
ORA-06502, ORA-22160 in Database Error Messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.oracle import cells
from sandbox.oracle.engine.plan.prepare import bind_type, prepared_for
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements import packages
from sandbox.oracle.engine.statements.array_block_reader import (
    ArrayBlock,
    Commit,
    Forall,
    IfCounts,
    Raise,
    RaiseOwn,
    Rollback,
    Step,
    TableType,
    compile_fault,
    read_block,
)
from sandbox.oracle.interface import Bind, Cell, CheckCancel, OracleFault, Outcome

_WRONG = "PLS-00306: wrong number or types of arguments in call"
Arrays = Mapping[str, Sequence[Cell]]


def run(
    session: Session,
    text: str,
    binds: Sequence[Bind],
    row: Sequence[Cell | list[Cell]],
    check: CheckCancel,
) -> Outcome:
    """Compile a block, then run it with one row of binds.

    Raises:
        OracleFault: ORA-06550 for what does not compile or is not simulated; what its statements raise.
    """
    block = read_block(text)
    _Run(session, block, check).call(_arguments(block, binds, row))
    return Outcome()


def _arguments(
    block: ArrayBlock, binds: Sequence[Bind], row: Sequence[Cell | list[Cell]]
) -> dict[str, list[Cell]]:
    """The arrays by the names of the procedure's parameters."""
    places = {bind.name.upper(): at for at, bind in enumerate(binds)}
    found: dict[str, list[Cell]] = {}
    if len(block.arguments) != len(block.parameters):
        raise compile_fault(block.text, block.call_at, _WRONG)
    for (name, table_type), bind_name in zip(block.parameters.items(), block.arguments, strict=True):
        if bind_name not in places:
            raise OracleFault(1008, "not all variables bound")
        bind, values = binds[places[bind_name]], row[places[bind_name]]
        if not bind.array or not isinstance(values, list):
            raise compile_fault(block.text, block.call_at, _WRONG)
        if bind.type is not table_type.type:
            raise compile_fault(
                block.text, block.call_at, "PLS-00418: array bind type must match PL/SQL table row type"
            )
        _require_fits(block, table_type, values)
        found[name] = values
    return found


def _require_fits(block: ArrayBlock, table_type: TableType, values: Sequence[Cell]) -> None:
    if table_type.size and any(len(value) > table_type.size for value in values if value):
        text = "PL/SQL: numeric or value error: host bind array too small"
        raise OracleFault(6502, f"{text}\nORA-06512: at line {block.line(block.call_at)}")


class _Run:
    def __init__(self, session: Session, block: ArrayBlock, check: CheckCancel) -> None:
        self._session, self._block, self._check = session, block, check
        self._row_count = 0
        for step in block.every_step():
            if isinstance(step, Forall):
                self._compile(step)

    def _compile(self, step: Forall) -> None:
        kinds = tuple(bind_type(bind) for bind in self._binds(step))
        try:
            prepared_for(self._session, step.statement, kinds)
        except OracleFault as fault:
            text = f"PL/SQL: ORA-{fault.code:05d}: {fault.text}"
            raise compile_fault(self._block.text, step.at, text) from fault

    def _binds(self, step: Forall) -> list[Bind]:
        types = [self._block.parameters[name] for name in step.arrays]
        return [Bind(f"B{at}", one.type, one.size) for at, one in enumerate(types, 1)]

    def call(self, arrays: Arrays) -> None:
        """Run the procedure; an error goes through its handler, and its line is named."""
        try:
            try:
                self._steps(self._block.steps, arrays, None)
            except OracleFault as fault:
                if self._block.handler is None:
                    raise
                self._steps(self._block.handler, arrays, fault)
        except OracleFault as fault:
            fault.row = None
            fault.text += f"\nORA-06512: at line {self._block.line(self._block.call_at)}"
            raise

    def _steps(self, steps: Sequence[Step], arrays: Arrays, caught: OracleFault | None) -> None:
        for step in steps:
            try:
                self._step(step, arrays, caught)
            except OracleFault as fault:
                if fault is not caught:
                    fault.text += f"\nORA-06512: at line {self._block.line(step.at)}"
                raise

    def _step(self, step: Step, arrays: Arrays, caught: OracleFault | None) -> None:
        if isinstance(step, Forall):
            self._forall(step, arrays)
        elif isinstance(step, IfCounts):
            if self._row_count != len(arrays[step.array]):
                self._steps(step.steps, arrays, caught)
        elif isinstance(step, Commit):
            self._session.commit()
        elif isinstance(step, Rollback):
            self._session.rollback()
        elif isinstance(step, RaiseOwn):
            given: dict[str, Cell] = {"NUM": cells.encode_number(step.number), "MSG": step.message.encode()}
            packages.PROCEDURES["RAISE_APPLICATION_ERROR"].action(self._session, packages.Arguments(given))
        elif isinstance(step, Raise) and caught is not None:
            raise caught

    def _forall(self, step: Forall, arrays: Arrays) -> None:
        count = len(arrays[step.counted])
        for name in step.arrays:
            if len(arrays[name]) < count:
                raise OracleFault(22160, f"element at index [{len(arrays[name]) + 1}] does not exist")
        self._row_count = 0
        if count:
            rows = list(zip(*(arrays[name][:count] for name in step.arrays), strict=True))
            done = self._session.execute(step.statement, self._binds(step), rows, check_cancel=self._check)
            self._row_count = done.row_count
