"""Views of a hand: which way up it is, which hand, and where its points are, in px of the photo.

A network for keypoints knows left hands with the fingers to the left, as its training pictures show them
(weights/palm_keypoints/recipe.py). A view is what is cut out of a photo so that a hand lies like that. The network is
of segmentation-models-pytorch, with one heat map a point and a head that regresses all points and says whether there
is a hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hub.kit.networks import deepest, own_method, scores_and_deepest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

NARROWEST, WIDEST = 1.0, 1.6  # shapes of a view, width to height, that the network knows from training
# Where a hand lies in a training picture: from the middle of the bases to the middle of the tips it is REACH half
# widths to the left, and the bases' middle is at BASES (in half widths and heights).
REACH, BASES, ASPECT = 0.72, (-0.075, -0.29), 1.26
MOST_TURN, LEAST_SIZE = 20.0, 0.5  # a hand turned by more degrees, or smaller, gets a view of its own
POSES = 8  # quarter turns of a left hand and of a right one


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle on the photo as the network sees it; lengths in px of the photo, `turn` in degrees clockwise."""

    x: float  # its middle
    y: float
    half_width: float
    half_height: float
    turn: float = 0.0
    mirrored: bool = False  # top to bottom, before it is turned: what makes a right hand a left one

    def matrix(self) -> NDArray[Any]:
        """[2, 3]: from places in the view, -1 to 1 between its edges, to px of the photo."""
        import numpy as np

        cos, sin = np.cos(np.radians(self.turn)), np.sin(np.radians(self.turn))
        half_height = -self.half_height if self.mirrored else self.half_height
        return np.array(
            [[cos * self.half_width, -sin * half_height, self.x], [sin * self.half_width, cos * half_height, self.y]]
        )

    def to_photo(self, places: NDArray[Any]) -> NDArray[Any]:
        """[n, 2] in the view -> [n, 2] in px of the photo."""
        matrix = self.matrix()
        pixels: NDArray[Any] = places @ matrix[:, :2].T + matrix[:, 2]
        return pixels

    def varied(self, turn: float, zoom: float) -> View:
        """The view turned by `turn` degrees more, with what it shows enlarged by `zoom`."""
        half_width, half_height = self.half_width / zoom, self.half_height / zoom
        return replace(self, half_width=half_width, half_height=half_height, turn=self.turn + turn)


def poses(width: float, height: float) -> list[View]:
    """The whole photo, of `width` x `height` px, in four quarter turns, then the same mirrored.

    A view reaches out of the photo where it would else be narrower or wider than the network knows.
    """
    views = []
    for mirrored in (False, True):
        for quarter in range(4):
            across, down = (width / 2, height / 2) if quarter % 2 == 0 else (height / 2, width / 2)
            across, down = max(across, down * NARROWEST), max(down, across / WIDEST)
            views.append(View(width / 2, height / 2, across, down, 90.0 * quarter, mirrored))
    return views


def refit(view: View, points: NDArray[Any], names: Sequence[str]) -> View:
    """The same view, or one in which the hand lies as in training, if in this one it is turned or small.

    `points` [n, 2]: where the hand's points are, in px of the photo; `names` [n]: of which (`tip_...`, `base_...`).
    """
    import numpy as np

    tips, bases = (
        points[[number for number, name in enumerate(names) if name.startswith(part)]].mean(0)
        for part in ("tip", "base")
    )
    ahead = tips - bases
    half_width = max(float(np.hypot(*ahead)) / REACH, 1.0)
    turn = float(np.degrees(np.arctan2(-ahead[1], -ahead[0])))  # fingers point left in a view
    turn_by = (turn - view.turn + 180) % 360 - 180
    if abs(turn_by) <= MOST_TURN and half_width >= LEAST_SIZE * view.half_width:
        return view
    centred = View(0, 0, half_width, half_width / ASPECT, turn, view.mirrored)
    x, y = bases - centred.to_photo(np.array([BASES]))[0]
    return replace(centred, x=float(x), y=float(y))


def cut(canvas: Tensor, size: NDArray[Any], views: Sequence[View], height: int, width: int) -> Tensor:
    """The views of one photo, [views, 3, height, width]; what lies outside of the photo repeats its edge.

    `canvas` [3, rows, columns]: the whole photo squashed to any sides; `size`: its true width and height in px.
    """
    import numpy as np
    import torch

    to_canvas = np.array([2, 2]) / size
    theta = np.stack([view.matrix() * to_canvas[:, None] for view in views])
    theta[:, :, 2] -= 1
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(theta).to(canvas), [len(views), 3, height, width], align_corners=False
    )
    source = canvas.expand(len(views), -1, -1, -1)
    return torch.nn.functional.grid_sample(source, grid, padding_mode="border", align_corners=False)


# --- the network ----------------------------------------------------------------------------------


def find_hands(
    model: Any, canvases: Tensor, sizes: Sequence[NDArray[Any]], shape: tuple[int, int], names: Sequence[str]
) -> tuple[list[View], NDArray[Any]]:
    """A first look at small views of all photos: for each the view in which its hand lies as in training.

    `canvases` [photos, 3, rows, columns], on the model's device: each photo squashed; `sizes`: their true widths and
    heights in px; `shape`: height and width of a view for the network; `names` of the points. The second answer is
    [photos, 2]: logits of a left hand and of a right one.
    """
    import numpy as np
    import torch

    small = torch.nn.functional.avg_pool2d(canvases, 2)
    candidates = [poses(*size) for size in sizes]
    crops = [
        cut(canvas, size, views, shape[0] // 2, shape[1] // 2)
        for canvas, size, views in zip(small, sizes, candidates, strict=True)
    ]
    answers = (
        model.classification_head(own_method(model, deepest)(_batch(model, crops)))
        .float()
        .cpu()
        .numpy()
        .reshape(len(sizes), POSES, -1)
    )
    best = []
    for views, rows in zip(candidates, answers, strict=True):
        number = int(rows[:, -1].argmax())
        points = views[number].to_photo(np.tanh(rows[number, :-1].astype(np.float64)).reshape(-1, 2))
        best.append(refit(views[number], points, names))
    return best, answers[:, :, -1].reshape(len(sizes), 2, POSES // 2).max(2)


def find_points(
    model: Any,
    canvases: Tensor,
    sizes: Sequence[NDArray[Any]],
    shape: tuple[int, int],
    views: Sequence[Sequence[View]],
) -> tuple[list[NDArray[Any]], NDArray[Any]]:
    """The points in large views, for each photo [views, points, 2] in px, and [photos, features].

    Arguments as for `find_hands`, and the `views` of each photo, equally many. The features are the deepest ones of
    each photo's first view, averaged over the picture.
    """
    import numpy as np

    crops = [cut(canvas, size, own, *shape) for canvas, size, own in zip(canvases, sizes, views, strict=True)]
    scores, last = own_method(model, scores_and_deepest)(_batch(model, crops))
    heat = scores.float()
    places = expectation(heat)[0].cpu().numpy().astype(np.float64).reshape(len(sizes), -1, heat.shape[1], 2)
    embeddings = last.float().mean((2, 3)).cpu().numpy().reshape(len(sizes), places.shape[1], -1)
    in_photos = [
        np.stack([view.to_photo(points) for view, points in zip(own, rows, strict=True)])
        for own, rows in zip(views, places, strict=True)
    ]
    return in_photos, embeddings[:, 0]


def _batch(model: Any, crops: list[Tensor]) -> Tensor:
    """The crops together, as the network takes them."""
    import torch

    batch = torch.cat(crops).to(next(model.parameters()).dtype)
    return batch.contiguous(memory_format=torch.channels_last)


def expectation(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Where heat maps [n, points, height, width] are hot: mean places and standard deviations, both [n, points, 2].

    Units are those of a view: -1 to 1 between its edges, x before y. Softmax makes a distribution of each map.
    """
    import torch

    shares = heat.flatten(2).softmax(2).view_as(heat)
    moments = []
    for axis, other in ((3, 2), (2, 3)):
        count = heat.shape[axis]
        places = (torch.arange(count, device=heat.device) * 2 + 1) / count - 1
        line = shares.sum(other)
        mean = line @ places
        moments.append((mean, (line @ places.square() - mean.square()).clamp(min=1e-8).sqrt()))
    (x, x_spread), (y, y_spread) = moments
    return torch.stack([x, y], -1), torch.stack([x_spread, y_spread], -1)
