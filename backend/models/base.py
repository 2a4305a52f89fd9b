"""The base of our pydantic models, and how a validation error becomes one sentence."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from models.errors import DataError


class Model(BaseModel):
    """A frozen value: unknown fields are refused, NaN and infinity too.

    `model_validate_json(value.model_dump_json())` gives an equal value. Decimals are text in JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def changed(self, **values: Any) -> Self:
        """Return a copy with other values, which are not checked: a quick `model_copy`."""
        copy = object.__new__(type(self))
        put = object.__setattr__
        put(copy, "__dict__", self.__dict__ | values)
        put(copy, "__pydantic_fields_set__", self.__pydantic_fields_set__ | values.keys())
        put(copy, "__pydantic_extra__", None)
        put(copy, "__pydantic_private__", None)
        return copy


def _no_binary_fraction(value: object) -> object:
    """Refuse floats: 0.1 + 0.2 is no amount of money."""
    if isinstance(value, float | bool):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueError with the field's name
            "money is exact: give a Decimal, an int or text, or Decimal(str(x)) of a float"
        )
    return value


# The bounds stand before the validator: behind it pydantic checks them in Python, not in its core.
Money = Annotated[
    Decimal, Field(max_digits=18, decimal_places=6), BeforeValidator(_no_binary_fraction)
]
"""An exact amount, at most 12 digits before and 6 after the point, as `numeric(18,6)` stores it.

Floats are refused, not rounded: whoever reads one from a wire converts it by `Decimal(str(x))`, or
parses the wire's text with Decimals in the first place.
"""

Positive = Annotated[
    Decimal, Field(gt=0, max_digits=18, decimal_places=6), BeforeValidator(_no_binary_fraction)
]
"""An amount above 0."""

NotNegative = Annotated[
    Decimal, Field(ge=0, max_digits=18, decimal_places=6), BeforeValidator(_no_binary_fraction)
]
"""An amount of 0 or more."""

Time = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""An aware time, turned to UTC so that equal values are written equally; a naive one is refused."""

M = TypeVar("M", bound=BaseModel)


def sentence(error: ValidationError) -> str:
    """Return the first of a validation error's findings as one sentence: which field and why.

    The value itself is not shown, since it may be a secret; how many more there are is.
    """
    found = error.errors(include_input=False, include_context=False, include_url=False)
    where = ".".join(str(part) for part in found[0]["loc"])
    why = found[0]["msg"].removeprefix("Value error, ")
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return f"{error.title}{'.' if where else ''}{where}: {why}{rest}"


def read(model: type[M], given: str | bytes | dict[str, Any]) -> M:
    """Make a model from what a user or a file gives: JSON text, or a mapping.

    Raises:
        DataError: It does not fit; one sentence names the field and the reason.
    """
    try:
        if isinstance(given, dict):
            return model.model_validate(given)
        return model.model_validate_json(given)
    except ValidationError as error:
        raise DataError(sentence(error)) from None
