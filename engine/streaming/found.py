"""The parts of a checkpoint's model that can stay on flash, found by asking the model: experts, linears, tables."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchLinear

from engine.arrays.dtypes import DTYPES
from engine.errors import CheckpointError
from engine.models.checkpoint import LazyModel
from engine.models.linears import TABLES, block_rows, matrix_of, uses_of
from engine.models.mlx_lm import containers
from engine.models.probe import probed
from engine.models.sparse_ffn import SparseFFN, leaves_zeros, sparse_ffns
from engine.store.columns import ColumnForm, check_columns
from engine.store.layout import BLOCK_BYTES, VIEW_ALIGNMENT, Layout
from engine.store.stored_tensor import StoredTensor
from engine.streaming.slots import SlotExperts, form_of

Stored = Mapping[str, StoredTensor]


@dataclass(frozen=True)
class ExpertNeurons:
    """The neurons of a container's experts, of which a token needs those that are not zero: their columns of the second
    matrix, a neuron a bundle. experts: the layout of these without the columns. layout: of the columns; None where
    nobody has prepared them. active_share: of all neurons of all experts, those that a token needs. gap: bytes between
    two columns that are read through. reads: that bring one, in the mean."""

    form: ColumnForm
    experts: Layout
    layout: Layout | None = None
    active_share: float = 0.0
    gap: int = BLOCK_BYTES
    reads: float = 1.0

    @property
    def dtype(self) -> mx.Dtype:
        """The weights' dtype."""
        return DTYPES[self.form.dtype]


@dataclass(frozen=True)
class ExpertContainer:
    """A container of experts whose tensors lie in files as they are used. path: in the model. neurons: the way to read
    less of its experts, where there is one. by_neurons: it is taken; the layout is then without their columns."""

    path: str
    module: Module
    layout: Layout
    neurons: ExpertNeurons | None = None
    by_neurons: bool = False

    @property
    def width(self) -> int:
        """The numbers of an expert's output."""
        if self.by_neurons and self.neurons:
            return self.neurons.form.width
        return [tensor.shape[0] for name, tensor in self.layout.tensors.items() if name.endswith(".weight")][-1]


@dataclass(frozen=True)
class ActiveRows:
    """The rows of a linear of which a token needs the active ones alone. ffn: says which these are. layout: a row a
    bundle. gap: bytes between two that are read through. reads: that bring one, in the mean."""

    ffn: SparseFFN
    layout: Layout
    gap: int = BLOCK_BYTES
    reads: float = 1.0


@dataclass(frozen=True)
class LinearBlocks:
    """A linear whose matrix lies in files as it is used, in blocks of rows. path: in the model. is_head: makes the
    logits. rows: of a table that does, the layout by which it is looked up. active: the way to read less of it, where
    there is one."""

    path: str
    module: Module
    layout: Layout
    is_head: bool = False
    rows: Layout | None = None
    active: ActiveRows | None = None


@dataclass(frozen=True)
class TableRows:
    """An embedding that is only looked up, whose tensors lie in files as they are used, a row a bundle. path: in the
    model."""

    path: str
    module: Module
    layout: Layout


@dataclass(frozen=True)
class Streamable:
    """All of a model that can stay on flash; linears in the order in which they are computed."""

    experts: tuple[ExpertContainer, ...] = ()
    linears: tuple[LinearBlocks, ...] = ()
    tables: tuple[TableRows, ...] = ()

    @property
    def by_neurons(self) -> list[ExpertContainer]:
        """Containers whose experts are read by their neurons."""
        return [each for each in self.experts if each.by_neurons]

    @property
    def head(self) -> str | None:
        """The path of what makes the logits, if that is among the linears."""
        return next((each.path for each in self.linears if each.is_head), None)


def find_streamable(model: LazyModel, stored: Stored, columns: Stored | None = None) -> Streamable:
    """All that can stay on flash. The experts' tensors leave the model. columns: prepared ones, by container.

    Raises CheckpointError for experts that are not stored as they are used, and for columns of another model.
    """
    experts = tuple(_experts(model, stored, columns or {}))
    with probed(model.network, {each.path: each.width for each in experts}):
        uses = uses_of(model.network)
    sparse = {ffn.up: ffn for ffn in sparse_ffns(model.network)}
    linears = (_linear(model, stored, path, module, path == uses.head, sparse) for path, module in uses.linears)
    tables = (_table(model, stored, path, module) for path, module in uses.only_tables)
    return Streamable(experts, tuple(filter(None, linears)), tuple(filter(None, tables)))


def _experts(model: LazyModel, stored: Stored, columns: Stored) -> Iterator[ExpertContainer]:
    for path, module in containers(model.network):
        tensors = {name: _stored(model, stored, path, name, array) for name, array in _matrices(module)}
        layout = Layout.of(tensors)
        neurons = _neurons(module, tensors, columns.get(path)) if leaves_zeros(module) else None
        SlotExperts(module, layout)
        yield ExpertContainer(path, module, layout, neurons)


def _neurons(container: Any, tensors: Stored, columns: StoredTensor | None) -> ExpertNeurons | None:
    """The way to read a container's experts by their neurons, if they are stored in a form that has one."""
    weight, inner = tensors["fc2.weight"], tensors["fc1.weight"].shape[1]
    dtype = weight.dtype if weight.dtype in DTYPES else "float32"
    form = ColumnForm(form_of(container.fc2), dtype, weight.shape[0], inner, weight.shape[1])
    if not form.can_be_stored or "fc2.bias" in tensors:
        return None
    if columns is not None:
        check_columns(columns, form)
    layout = Layout.of({"weight": columns}, alignment=VIEW_ALIGNMENT) if columns else None
    rest = Layout.of({name: tensor for name, tensor in tensors.items() if name != "fc2.weight"})
    return ExpertNeurons(form, rest, layout)


def _matrices(container: Module) -> Iterator[tuple[str, mx.array]]:
    """The tensors of a container that have a share of each expert, by their names in it."""
    for name, child in container.children().items():
        if isinstance(child, SwitchLinear | QuantizedSwitchLinear):
            yield from ((f"{name}.{tensor}", array) for tensor, array in child.parameters().items())


def _stored(model: LazyModel, stored: Stored, path: str, name: str, array: mx.array) -> StoredTensor:
    tensor = stored.get(model.name_of(array) or "")
    if tensor is None:
        raise CheckpointError(
            "The experts of this model are not stored as they are used ({name}), so they cannot be read one by one. "
            "Convert it with `flashbulb prepare`, or get it in MLX's form.",
            name=f"{path}.{name}",
        )
    return tensor


def _linear(
    model: LazyModel, stored: Stored, path: str, module: Module, is_head: bool, sparse: Mapping[str, SparseFFN]
) -> LinearBlocks | None:
    """sparse: FFNs by the linear of which they need active rows alone."""
    whole = _whole(model, stored, module)
    if whole is None:
        return None
    rows = Layout.of(whole, alignment=VIEW_ALIGNMENT) if isinstance(module, TABLES) else None
    active = _active(sparse[path], whole) if path in sparse and "bias" not in module else None
    return LinearBlocks(path, module, Layout.of(whole, block_rows(matrix_of(module))), is_head, rows, active)


def _active(ffn: SparseFFN, tensors: Stored) -> ActiveRows:
    return ActiveRows(ffn, Layout.of(tensors, alignment=VIEW_ALIGNMENT))


def _table(model: LazyModel, stored: Stored, path: str, module: Module) -> TableRows | None:
    whole = _whole(model, stored, module)
    return TableRows(path, module, Layout.of(whole, alignment=VIEW_ALIGNMENT)) if whole is not None else None


def _whole(model: LazyModel, stored: Stored, module: Module) -> dict[str, StoredTensor] | None:
    """The stored tensors of a matrix; None where one is made of others, or more than rows belongs to it."""
    tensors = {name: stored.get(model.name_of(array) or "") for name, array in matrix_of(module).items()}
    whole = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return whole if len(whole) == len(tensors) and "global_scale" not in module else None
