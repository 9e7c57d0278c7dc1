"""The plain loop in a process of its own. Each line on stdin asks for one timed pass over picture files.

In: {"files": [{input: path}, ...], "inputs": [{input: value}, ...], "threads": 1}
Out: {"seconds": for all, "each": [seconds, ...], "answer": what the last one was}
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.baselines.plain import decode, options, predictor


def main() -> None:
    given = options()
    predict = predictor(given.slugs[0], given)
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(timed_pass(predict, **json.loads(line)), default=str), flush=True)


def timed_pass(
    predict: Callable[..., dict[str, Any]], files: list[dict[str, str]], inputs: list[dict[str, Any]], threads: int
) -> dict[str, Any]:
    """Files are read into memory first, as a request's body would be."""
    pictures = [{name: Path(path).read_bytes() for name, path in entry.items()} for entry in files]
    requests = list(zip(pictures, inputs, strict=True))

    def one(request: tuple[dict[str, bytes], dict[str, Any]]) -> tuple[float, dict[str, Any]]:
        begin = time.perf_counter()
        answer = predict(**request[1], **{name: decode(data) for name, data in request[0].items()})
        return time.perf_counter() - begin, answer

    begin = time.perf_counter()
    if threads == 1:
        done = [one(request) for request in requests]
    else:
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(one, requests))
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "each": [taken for taken, _ in done], "answer": done[-1][1]}


if __name__ == "__main__":
    main()
