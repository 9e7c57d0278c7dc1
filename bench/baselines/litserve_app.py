"""The page's four functions behind LitServe: decode, prepare, infer in a batch, present.

LitServe is given the faster HTTP of uvicorn[standard], the model in the hub's dtype and memory format, and the pictures
as multipart, as the hub gets them. bench/rest.py runs it in several ways at once and takes the best of them.
"""

import argparse
from pathlib import Path
from typing import Any

import litserve  # type: ignore[import-not-found]  # it has an environment of its own
import torch
from fastapi import Request
from PIL import Image

from bench.baselines.plain import Predictor, decode, demo_of
from bench.inputs import values
from hub.spec import ImageInput


# LitServe reads the annotations below, so they are no texts.
class Page(litserve.LitAPI):  # type: ignore[misc]  # so its class has no type here
    """Inputs that are no pictures have their defaults."""

    def __init__(self, given: argparse.Namespace, **options: Any):
        super().__init__(api_path="/predict", **options)
        self.given = given

    def setup(self, device: str) -> None:
        if self.given.threads:
            torch.set_num_threads(self.given.threads)
        self.predictor = Predictor(self.given.slug, self.given)
        demo = demo_of(self.given.slug)
        self.pictures = [field.name for field in demo.inputs if isinstance(field, ImageInput)]
        self.rest = {name: value for name, value in values(demo, 0).items() if name not in self.pictures}

    def decode_request(self, request: Request) -> dict[str, Any]:
        form: Any = request  # of multipart it hands over the form
        return {**self.rest, **{name: decode(form[name].file.read()) for name in self.pictures}}

    def predict(self, inputs: Any) -> Any:
        """Many at once where requests are batched, else one."""
        many = inputs if isinstance(inputs, list) else [inputs]
        answers = self.predictor.answer(many)
        return answers if isinstance(inputs, list) else answers[0]

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return {"outputs": {name: value for name, value in output.items() if not isinstance(value, Image.Image)}}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights-folder", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="of torch in each worker; 0: as torch chooses")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--fast-queue", action="store_true")
    parser.add_argument("slug")
    given = parser.parse_args()
    batched = {"max_batch_size": given.batch, "batch_timeout": 0.004} if given.batch > 1 else {}
    server = litserve.LitServer(
        Page(given, **batched), accelerator="cuda" if given.device.startswith("cuda") else "cpu",
        workers_per_device=given.workers, fast_queue=given.fast_queue, timeout=180,
    )  # fmt: skip
    server.run(host="127.0.0.1", port=given.port, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
