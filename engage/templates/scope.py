"""The values that a template sees, each knowing its own name, and what stands in for one that is missing."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Undefined
from jinja2.utils import missing

from engage.templates.errors import did_you_mean
from engage.templates.limits import current


class Scope(Mapping[str, Any]):
    """A group of values under a name such as `event.metadata`. Keys come before methods: `event.items` is a value."""

    __slots__ = ("path", "values_")

    def __init__(self, path: str, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values_ = values

    def __getitem__(self, key: str) -> Any:
        return wrap(self.values_[key], f"{self.path}.{key}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def __str__(self) -> str:
        near = ", ".join(f"{self.path}.{key}" for key in list(self.values_)[:3])
        current().note(self.path, f"a group of values: choose one, such as {near}" if near else "nothing is in it")
        return ""


def wrap(value: Any, path: str) -> Any:
    """Mappings as scopes and lists as tuples of them, all others as they are."""
    if isinstance(value, Scope):
        return value
    if isinstance(value, Mapping):
        return Scope(path, value)
    if isinstance(value, list | tuple):
        return tuple(wrap(item, f"{path}[{index}]") for index, item in enumerate(value))
    return value


class Missing(Undefined):
    """Renders as nothing and is noted. Asking whether it is there (`if`, `default`, `is defined`) is no mistake."""

    __slots__ = ("path_",)
    path_: str

    def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, *_: Any) -> None:
        super().__init__(hint, obj, name)
        owner = f"{obj.path}." if isinstance(obj, Scope) else f"{obj.path_}." if isinstance(obj, Missing) else ""
        self.path_ = f"{owner}{name}"

    def note(self) -> None:
        """Say to the rendering that this was used."""
        obj, name = self._undefined_obj, str(self._undefined_name)
        if isinstance(obj, Missing):
            obj.note()
        elif isinstance(obj, Scope):
            current().note(self.path_, did_you_mean(name, obj, f"{obj.path}."))
        else:
            current().note(self.path_, did_you_mean(name, current().names) if obj is missing else "")

    def _used(self, *_: Any, **__: Any) -> Any:
        self.note()
        return self

    def _no(self, *_: Any) -> bool:
        self.note()
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Missing(obj=self, name=name)

    def __getitem__(self, key: Any) -> Any:
        return Missing(obj=self, name=str(key))

    def __str__(self) -> str:
        self.note()
        return ""

    def __iter__(self) -> Iterator[Any]:
        self.note()
        return iter(())

    def __len__(self) -> int:
        self.note()
        return 0

    def __bool__(self) -> bool:
        return False

    def __hash__(self) -> int:
        return hash(self.path_)

    def __ne__(self, other: object) -> bool:
        self.note()
        return True

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _no  # type: ignore[assignment]
    __call__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _used
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __pos__ = __neg__ = _used
