r"""Train the Amazon tags (Planet, 17 tags). From the repository root, about a quarter of an hour on two cores, and as
long for each of the two cycles that README.md has besides:

    python -m weights.satellite_amazon.recipe --out runs/satellite_amazon \
        --data ../shared/data/satellite_amazon \
        --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors
"""

from __future__ import annotations

from weights.training.tags import Task, f2_by_picture, options, train

# Tags describe the whole chip, so little of it is cropped away.
TASK = Task(name="amazon", metric="f2", score=f2_by_picture, crop_scale=(0.8, 1.0))

if __name__ == "__main__":
    train(TASK, options(__doc__, epochs=24))
