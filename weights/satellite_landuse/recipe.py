r"""Train the land use labels (UC Merced, 17 labels). From the repository root, about a quarter of an hour on two
cores, and as long for each of the two cycles that README.md has besides:

    python -m weights.satellite_landuse.recipe --out runs/satellite_landuse \
        --data ../shared/data/satellite_landuse \
        --backbone-weights ../shared/backbones/tf_efficientnet_lite0.safetensors
"""

from __future__ import annotations

from weights.training.tags import Task, f1_by_tag, options, train

TASK = Task(name="landuse", metric="macro_f1", score=f1_by_tag, crop_scale=(0.6, 1.0))

if __name__ == "__main__":
    train(TASK, options(__doc__, epochs=12))
