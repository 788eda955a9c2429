"""What the primary configs may hold: names, types and ranges as dataclasses, checked by pydantic.

Groups that name their code with `_target_` are open here; `signatures.py` holds them to that code's arguments.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError

from lexigraft.config.errors import did_you_mean, nearest, nearest_key

KeyPath = tuple[str | int, ...]
Where = Callable[[KeyPath], str]

Node = dict[str, Any]
Text = Annotated[str, Field(min_length=1)]
Switch = Annotated[bool, Field(strict=True)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Count = Annotated[int, Field(strict=True, ge=1)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Dropout = Annotated[Number, Field(ge=0, lt=1)]


def _below_output_root(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError("should be a name, or names with / between them, below output_root")
    return name


def _count_or_auto(given: Any) -> int | str:
    if given == "auto" or (type(given) is int and given >= 1):
        return given
    raise ValueError("should be a whole number from 1 on, or auto")


def _switch_or_auto(given: Any) -> bool | str:
    if given == "auto" or isinstance(given, bool):
        return given
    raise ValueError("should be true, false or auto")


def _precision(given: Any) -> Any:
    if given == "32-true":
        raise ValueError("should be 32, the name that float32 has here")
    return str(given) if type(given) is int else given  # YAML reads 32 as a number


# One validator and not a union, of which pydantic would tell each part.
CountOrAuto = Annotated[int | str, PlainValidator(_count_or_auto)]
SwitchOrAuto = Annotated[bool | str, PlainValidator(_switch_or_auto)]
Precision = Annotated[
    Literal["auto", "32", "tf32", "bf16-mixed", "bf16-true", "16-mixed", "fp8"], BeforeValidator(_precision)
]


class Closed:
    """No key besides the fields; `experiment=2024` is a text although YAML reads a number."""

    __pydantic_config__ = ConfigDict(extra="forbid", coerce_numbers_to_str=True)


@dataclass
class Loop(Closed):
    """How long and in what portions any run trains."""

    epochs: Count
    batch_size: Count
    batch_tokens: Count | None
    sorted_batches: Count
    eval_batch_size: Count
    max_tokens: Annotated[int, Field(strict=True, ge=2)]
    monitor: Text | None
    patience: Count | None
    gradient_clip: Annotated[Number, Field(gt=0)] | None
    gradient_clip_by: Literal["norm", "value"]
    accumulate: Count
    decay_embeddings: Switch
    workers: Annotated[int, Field(strict=True, ge=0)]
    progress: Switch
    profile: Switch
    keep_last: Switch
    checkpoint_every: Annotated[Number, Field(gt=0)] | None
    checkpoint_async: Switch


@dataclass
class Trainer(Loop):
    """How a classifier is trained."""

    sampling_temperature: Annotated[Number, Field(ge=1)]
    micro_batch: CountOrAuto | None
    active_vocabulary: Switch


@dataclass
class PretrainingTrainer(Loop):
    """How a language model is trained."""

    micro_batch: Count | None
    pack: Switch


@dataclass
class Hardware(Closed):
    """What a run computes on, in how many processes, and in which precision."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: CountOrAuto
    nodes: CountOrAuto
    strategy: Literal["ddp", "fsdp"]
    cpu_offload: Switch
    activation_checkpointing: Switch
    precision: Precision
    threads: Count
    compile: SwitchOrAuto
    deterministic: Switch
    requeue: Switch


@dataclass
class Model(Closed):
    """Encoder and pooling name their code; the head is a dropout and a linear layer."""

    encoder: Node
    pooling: Node
    embedding_dropout: Dropout
    variational_dropout: Dropout
    word_dropout: Dropout
    head_dropout: Dropout


@dataclass
class Auxiliary(Closed):
    """A further data set that trains the same network with a head of its own; `task` None: as the run's."""

    data: Node
    task: Node | None = None


@dataclass
class TrainConfig(Closed):
    """conf/train.yaml after composition."""

    data: Node
    cleaning: Node
    subset: Node
    augment_texts: dict[str, Node]
    balance: Node
    source: Node
    tokenizer: Node
    transplant: Node
    task: Node
    model: Model
    augment: dict[str, Node]
    finetune: Node
    regularise: dict[str, Node]
    auxiliary: dict[str, Auxiliary]
    teacher: Node
    averaging: Node
    optimizer: Node
    scheduler: Node
    hardware: Hardware
    logger: Node
    leakage_similarity: Annotated[Number, Field(gt=0, le=1)] | None
    experiment: Annotated[Text, AfterValidator(_below_output_root)]
    output_root: Text
    seed: Seed
    test: Switch
    rerun: Switch
    trainer: Trainer


@dataclass
class Export(Closed):
    """The checkpoint that a pretraining leaves."""

    weights: Literal["fp32", "fp16", "bf16"]
    part: Literal["main", "generator"]


@dataclass
class PretrainConfig(Closed):
    """conf/pretrain.yaml after composition."""

    corpus: dict[str, Node]
    cleaning: Node
    source: Node
    tokenizer: Node
    transplant: Node
    backbone: Node
    objective: Node
    finetune: Node
    averaging: Node
    optimizer: Node
    scheduler: Node
    hardware: Hardware
    logger: Node
    keep_out: dict[str, Node]
    keep_out_similarity: Annotated[Number, Field(gt=0, le=1)] | None
    dev_share: Annotated[Number, Field(gt=0, lt=1)]
    experiment: Annotated[Text, AfterValidator(_below_output_root)]
    output_root: Text
    seed: Seed
    rerun: Switch
    trainer: PretrainingTrainer
    export: Export


@dataclass
class TransplantConfig(Closed):
    """conf/transplant.yaml after composition."""

    data: Node
    source: Node
    tokenizer: Node
    transplant: Node
    output: Text
    seed: Seed
    write: Literal["auto", "checkpoint", "matrix"]
    shard_gb: Annotated[Number, Field(gt=0)]
    pad_to_multiple_of: Count


def schema_problems(values: Node, schema: type, where: Where) -> tuple[Node, list[str]]:
    """`values` with their types settled, and a sentence for each key that `schema` does not know or allow.

    Values still missing (`???`) are passed over: `missing_values` tells of them.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(schema)
    try:
        settled: Node = adapter.dump_python(adapter.validate_python(values))
    except ValidationError as error:
        problems = [_sentence(e, values, schema, where) for e in error.errors() if e["input"] != "???"]
        return values, list(dict.fromkeys(problems)) + _contradictions(values, where)
    return settled, _contradictions(settled, where)


def missing_values(values: Node, where: Where) -> list[str]:
    """A sentence for each value that is still `???`."""
    return [
        f"'{dotted(path)}' has no value in {where(path)}; give it as {dotted(path)}=..."
        for path, value in walk(values)
        if value == "???"
    ]


def dotted(path: KeyPath) -> str:
    """`model.encoder.channels` as overrides write it."""
    return ".".join(map(str, path))


def walk(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every path of nested dictionaries and lists with its value, containers included."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key), child
        yield from walk(child, (*path, key))


def keys(schema: type, prefix: str = "") -> Iterator[str]:
    """Dotted keys that a schema knows."""
    for field in fields(schema):
        yield prefix + field.name
        kind = get_type_hints(schema)[field.name]
        if is_dataclass(kind):
            yield from keys(kind, f"{prefix}{field.name}.")  # type: ignore[arg-type]


def _sentence(error: Any, values: Node, schema: type, where: Where) -> str:
    """One of pydantic's errors in our words."""
    path: KeyPath = error["loc"]
    key, kind = dotted(path), error["type"]
    if kind == "unexpected_keyword_argument":
        known = [k.rpartition(".")[2] for k in keys(schema) if k.rpartition(".")[0] == dotted(path[:-1])]
        everywhere = [dotted(p) for p, _ in walk(values) if p != path]
        return f"unknown key '{key}' in {where(path)}{did_you_mean(*nearest_key(key, known, everywhere))}"
    if kind == "missing":
        return f"'{key}' is missing: it should stand in {where(path[:-1])}"
    if kind in ("dict_type", "dataclass_type"):
        return f"{key}={shown_value(error['input'])} in {where(path)} should be a group of keys, not one value"
    expected = error["msg"].removeprefix("Value error, ").replace("Input should", "should")
    meant = ""
    if kind == "literal_error":
        choices = error["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        meant = did_you_mean(*nearest(str(error["input"]), choices))
    return f"{key}={shown_value(error['input'])} in {where(path)} {expected}{meant}"


def shown_value(value: Any) -> str:
    """A value as YAML would write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value) if value != "" else "''"


def _contradictions(values: Node, where: Where) -> list[str]:
    """Values that are right one by one but not together."""
    hardware = values.get("hardware")
    if isinstance(hardware, dict) and hardware.get("accelerator") == "cpu" and hardware.get("precision") == "16-mixed":
        return [
            f"hardware.precision=16-mixed in {where(('hardware', 'precision'))} is not for a CPU, "
            "where fp16 is slow and gives NaN: use bf16-mixed or 32"
        ]
    return []
