"""Classes like those of `dataclass`, for where there are many and each start pays for them.

`dataclass` writes and compiles the methods of each class, which takes a fifth of a millisecond at
the least. Here all classes share theirs; to create an instance takes a little longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from inspect import Signature


class _SignatureOfFields:
    """What `help` and editors show of a class, made when they ask."""

    def __get__(self, instance: object, owner: type[PlainData]) -> Signature:
        from inspect import Parameter, Signature  # noqa: PLC0415 - nobody else asks

        def parameter(name: str, kind: Any) -> Parameter:
            return Parameter(name, kind, default=getattr(owner, name))

        positional, fields = owner.__match_args__, owner.fields
        parameters = [parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in positional]
        others = [name for name in fields if name not in positional]
        return Signature(
            [*parameters, *(parameter(name, Parameter.KEYWORD_ONLY) for name in others)]
        )


@dataclass_transform(eq_default=False)
class PlainData:
    """Attributes with defaults, which may be given by place, or by name alone with `kw_only`.

    Each attribute that a class below annotates is one, and has a default.

    Attributes:
        fields: the names of all.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    __signature__: ClassVar[Any] = _SignatureOfFields()

    def __init_subclass__(cls, *, kw_only: bool = False) -> None:
        own = tuple(cls.__annotations__)
        cls.fields += own
        if not kw_only:
            cls.__match_args__ += own  # type: ignore[misc]

    def __init__(self, *values: Any, **named: Any) -> None:
        if len(values) > len(self.__match_args__):
            raise TypeError(
                f"{type(self).__name__} takes at most {len(self.__match_args__)} values by place, "
                f"and was given {len(values)}"
            )
        for name, value in (*zip(self.__match_args__, values, strict=False), *named.items()):
            if name not in self.fields:
                raise TypeError(f"{type(self).__name__} has no {name!r}")
            if name in self.__dict__:
                raise TypeError(f"{type(self).__name__} was given {name!r} twice")
            self.__dict__[name] = value

    def __repr__(self) -> str:
        said = [
            f"{name}={value!r}"
            for name in self.fields
            if (value := getattr(self, name)) != getattr(type(self), name)
        ]
        return f"{type(self).__name__}({', '.join(said)})"
