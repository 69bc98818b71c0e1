"""What a script's calls see of its globals: run once for each kind of pool, by test_namespaces.py.

Prints one JSON object: what was asked -> what the pool's calls answered.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import multiprocessing
import sys
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Self

model: Any = None
table: dict[str, Any] = {}
counter = 0
rate = 1
settings = {"depth": 1}
kept: list[Any] = []


def set_up(value: Any) -> None:
    global model
    model = value
    table["filled"] = value


def use_model() -> Any:
    return model


def use_table() -> Any:
    return table.get("filled")


def count() -> int:
    global counter
    counter += 1
    return counter


def count_through() -> int:
    return count()


def use_rate() -> int:
    return rate


def use_settings() -> int:
    return settings["depth"]


class Thing:
    made = 0

    def __init__(self) -> None:
        type(self).made += 1


@dataclasses.dataclass
class Point:
    x: int


class Color(enum.Enum):
    RED = 1


class Single:
    _only: Any = None

    def __new__(cls) -> Self:
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only


def make_thing() -> int:
    Thing()
    return Thing.made


def keep(value: Any) -> None:
    kept.append(value)


def is_like_the_kept_one(value: Any) -> bool:
    return type(value) is type(kept[-1]) and isinstance(kept[-1], Point)


def same(value: Any) -> Any:
    return value


def is_red(color: Color) -> bool:
    return color is Color.RED


def use_single() -> int:
    single = Single()
    single.used = getattr(single, "used", 0) + 1
    return single.used


@functools.cache
def squared(x: int) -> int:
    return x * x


def use_squared() -> int:
    squared(3)
    return squared.cache_info().hits


@functools.lru_cache(maxsize=10)
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def cache_of_fibonacci() -> tuple[int, int | None]:
    return fibonacci.cache_info().misses, fibonacci.cache_info().maxsize


def remember(value: int, seen: list[int] = []) -> int:  # noqa: B006 - it is what is asked
    seen.append(value)
    return len(seen)


def one() -> int:
    return 1


def answer() -> Any:
    return one()


def in_namespace() -> bool:
    return count.__globals__ is globals()


def make_executor(kind: str, **options: Any) -> Executor:
    if kind == "threads":
        return ThreadPoolExecutor(1, **options)
    if kind == "ours":
        from hfexecutor import HubExecutor

        return HubExecutor(1, endpoint="local", **options)
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(kind), **options)


def told(executor: Executor, fn: Any, *args: Any) -> Any:
    try:
        return executor.submit(fn, *args).result(60)
    except Exception as error:
        return type(error).__name__


def main(kind: str) -> None:
    global rate, one
    found: dict[str, Any] = {}
    with make_executor(kind, initializer=set_up, initargs=("set",)) as executor:
        ask = functools.partial(told, executor)
        found["the initializer sets a global"] = [ask(use_model) for _ in range(3)]
        found["the initializer fills a dict"] = [ask(use_table) for _ in range(3)]
        found["a counter"] = [ask(count) for _ in range(4)]
        found["a counter in a helper"] = [ask(count_through) for _ in range(2)]
        found["the counter, here"] = counter
        found["a class attribute"] = [ask(make_thing) for _ in range(4)]
        ask(keep, Point(1))
        found["isinstance between calls"] = ask(is_like_the_kept_one, Point(2))
        found["an instance comes back"] = type(ask(same, Point(1))) is Point
        found["an enum's member there"] = ask(is_red, Color.RED)
        found["an enum's member comes back"] = ask(same, Color.RED) is Color.RED
        found["a class comes back"] = ask(same, Point) is Point
        found["a function comes back"] = ask(same, count) is count
        found["a singleton"] = [ask(use_single) for _ in range(3)]
        found["a cached helper"] = [ask(use_squared) for _ in range(3)]
        found["a cached function"] = ask(fibonacci, 15)
        found["its cache"] = ask(cache_of_fibonacci)
        found["it comes back"] = ask(same, fibonacci) is fibonacci
        found["a mutable default"] = [ask(remember, n) for n in range(3)]
        found["one namespace"] = ask(in_namespace)
        found["a global, before"] = ask(use_rate)
        rate = 2
        found["a global that was assigned here"] = ask(use_rate)
        found["a dict, before"] = ask(use_settings)
        settings["depth"] = 2
        found["a dict that was changed here"] = ask(use_settings)
        found["a lambda"] = ask(lambda: 5)
        base = 10
        found["a closure"] = ask(lambda: base + 1)
        found["a helper, before"] = ask(answer)

        def one() -> int:
            return 2

        found["a helper that was defined again"] = ask(answer)
        found["what the initializer set, at last"] = ask(use_model)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
