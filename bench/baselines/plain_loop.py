"""The plain loop in a process of its own. Each line on stdin asks for one timed pass over picture files.

In: {"files": [{input: path}, ...], "inputs": [{input: value}, ...]}
Out: {"seconds": for all, "each": [seconds, ...], "answer": what the last one was, "answers": labels of all}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.baselines.plain import decode, demo_of, options, predictor
from hub.spec import Labels


def main() -> None:
    given = options()
    predict = predictor(given.slugs[0], given)
    labels = [field.name for field in demo_of(given.slugs[0]).outputs if isinstance(field, Labels)]
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(timed_pass(predict, labels, **json.loads(line)), default=str), flush=True)


def timed_pass(
    predict: Callable[..., dict[str, Any]], labels: list[str], files: list[dict[str, str]], inputs: list[dict[str, Any]]
) -> dict[str, Any]:
    """Files are read into memory first, as a request's body would be."""
    pictures = [{name: Path(path).read_bytes() for name, path in entry.items()} for entry in files]
    each, answers, begin = list[float](), list[dict[str, Any]](), time.perf_counter()
    for plain, encoded in zip(inputs, pictures, strict=True):
        start = time.perf_counter()
        answers.append(predict(**plain, **{name: decode(data) for name, data in encoded.items()}))
        each.append(time.perf_counter() - start)
    seconds = time.perf_counter() - begin
    kept = [{name: answer[name] for name in labels} for answer in answers]
    return {"seconds": seconds, "each": each, "answer": answers[-1], "answers": kept}


if __name__ == "__main__":
    main()
