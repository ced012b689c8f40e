"""`vsx.Graph`: vdsp operators followed by a network."""

from __future__ import annotations

from collections.abc import Sequence

from vacc_deploy.errors import RunError
from vacc_deploy.vsx.enums import GraphOutputType
from vacc_deploy.vsx.errors import UnsupportedError
from vacc_deploy.vsx.model import ModelOperator
from vacc_deploy.vsx.operator import Operator


class Graph:
    """A chain of operators.

    Args:
        output_type: Where outputs are left, or the older API's ``do_copy``; without effect: the emulation
            hands out NCHW tensors.
        output_flags: Per output, the same; without effect.
        do_copy: The older API's keyword; without effect.
    """

    def __init__(
        self,
        output_type: GraphOutputType | bool = GraphOutputType.GRAPH_OUTPUT_TYPE_NCHW_DEVICE,
        output_flags: Sequence[int] | None = None,
        *,
        do_copy: bool | None = None,
    ) -> None:
        self.output_type = output_type
        self.output_flags = output_flags
        self.do_copy = do_copy
        self._operators: list[Operator | ModelOperator] = []

    def add_operators(self, *operators: Operator | ModelOperator) -> None:
        """Append operators in the order in which data passes them.

        Raises:
            UnsupportedError: Something other than a vdsp operator or a model operator.
        """
        for operator in operators:
            if not isinstance(operator, (Operator, ModelOperator)):
                raise UnsupportedError(
                    f"a graph cannot hold a {type(operator).__name__}",
                    hint="run custom operators on their own: CustomOperator.run_sync",
                )
        self._operators.extend(operators)

    add_operator = add_operators

    @property
    def operators(self) -> tuple[Operator | ModelOperator, ...]:
        """All operators in order."""
        return tuple(self._operators)

    def model_operator(self) -> ModelOperator:
        """The network at the end of the chain.

        Raises:
            RunError: The chain does not end with a network, or holds several.
        """
        models = [operator for operator in self._operators if isinstance(operator, ModelOperator)]
        if len(models) != 1 or self._operators[-1] is not models[0]:
            kinds = [type(operator).__name__ for operator in self._operators]
            raise RunError(
                "a graph consists of vdsp operators followed by one model operator",
                why=f"it holds {', '.join(kinds) or 'nothing'}",
                hint="chain several models with one stream each",
            )
        return models[0]

    def vdsp_operators(self) -> tuple[Operator, ...]:
        """The operators before the network."""
        return tuple(operator for operator in self._operators if isinstance(operator, Operator))
