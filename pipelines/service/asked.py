"""What a request for a transcript asks for, in OpenAI's words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pipelines.service.refusal import Refusal

Form = Literal["json", "text", "srt", "verbose_json", "vtt"]
Granularity = Literal["segment", "word"]

FORMS: tuple[Form, ...] = get_args(Form)
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)

# Of a decoder that samples, and of one that reads on from a text; ours does neither.
_IGNORED = ("prompt", "temperature")
_GRANULARITIES_FIELDS = ("timestamp_granularities[]", "timestamp_granularities")
_KNOWN = (
    *("file", "model", "language", "response_format", "stream"),
    *_GRANULARITIES_FIELDS,
    *_IGNORED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a transcript is to be answered.

    Attributes:
        form: What the answer looks like.
        granularities: What has its times in `verbose_json`.
    """

    form: Form = "json"
    granularities: tuple[Granularity, ...] = ("segment",)

    @property
    def with_words(self) -> bool:
        """Whether each word has its times."""
        return "word" in self.granularities

    @property
    def with_segments(self) -> bool:
        """Whether each segment has its times."""
        return "segment" in self.granularities


def read_asked(
    fields: Mapping[str, Sequence[Any]], *, models: Sequence[str], language: str
) -> Asked:
    """Reads the fields of a request; `prompt` and `temperature` mean nothing here, and are ignored.

    Args:
        fields: Name → its values.
        models: The names that the model goes by.
        language: The model's language.

    Raises:
        Refusal: A field is unknown, missing, repeated, or not for this model.
    """
    if unknown := sorted(set(fields) - set(_KNOWN)):
        raise Refusal(
            400,
            f"unknown field {_shown(unknown[0])}; known fields are {', '.join(_KNOWN)}",
            code="unknown_parameter",
        )
    _check_model(_one(fields, "model"), models)
    _check_language(_one(fields, "language"), language)
    if (stream := _one(fields, "stream")) not in (None, "false", "False", "0"):
        raise Refusal(400, f"stream: expected false, received {_shown(stream)}", param="stream")
    form = _chosen(_one(fields, "response_format") or "json", FORMS, "response_format")
    asked = [value for name in _GRANULARITIES_FIELDS for value in fields.get(name, ())]
    if asked and form != "verbose_json":
        raise Refusal(
            400,
            "timestamp_granularities: expected response_format verbose_json with it, received "
            f"{form}",
            param="timestamp_granularities",
        )
    chosen = (_chosen(one, GRANULARITIES, "timestamp_granularities") for one in asked)
    return Asked(form=form, granularities=tuple(chosen) or ("segment",))


def _check_model(model: str | None, models: Sequence[str]) -> None:
    if model is None:
        raise Refusal(400, "model: expected a model's name, received none", param="model")
    if model not in models:
        raise Refusal(
            404,
            f"model: expected {' or '.join(models)}, received {_shown(model)}",
            param="model",
            code="model_not_found",
        )


def _check_language(asked: str | None, language: str) -> None:
    if asked and _primary(asked) != _primary(language):
        raise Refusal(
            400,
            f"language: expected {language}, which this model writes, received {_shown(asked)}",
            param="language",
        )


def _primary(tag: str) -> str:
    """Returns a language tag's first part, which is the language itself (RFC 5646)."""
    return tag.replace("_", "-").partition("-")[0].lower()


def _one(fields: Mapping[str, Sequence[Any]], name: str) -> str | None:
    values = fields.get(name, ())
    if len(values) > 1:
        raise Refusal(400, f"{name}: expected once, received {len(values)} times", param=name)
    if values and not isinstance(values[0], str):
        raise Refusal(400, f"{name}: expected text, received a file", param=name)
    return values[0] if values else None


def _chosen(value: Any, choices: Iterable[Any], name: str) -> Any:
    if value not in choices:
        raise Refusal(
            400, f"{name}: expected {', '.join(choices)}, received {_shown(value)}", param=name
        )
    return value


def _shown(value: object) -> str:
    return repr(value)[:80]
